"""What a trial has chosen, in the builds after it, and what the subcommands say of it."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from gccllm.base import events
from gccllm.commands.trial_run import remember
from gccllm.propose.compiled import BY_NAME
from gccllm.store import Entry, Store
from gccllm.trial.contests import Contests
from gccllm.trial.design import Effect
from gccllm.trial.trial import Verdicts, Winner
from gccllm.unit.profile import write_profile
from tests.conftest import ROOT
from tests.kit.trial import TrialBuild

UNIT = """
long sum(const int *a, int n) { long s = 0; for (int i = 0; i < n; i++) s += a[i] * 3; return s; }
int other(const int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s ^= a[i]; return s; }
"""
EFFECT = Effect(1.0234, 1.0112, 1.0351)
LIKE_OURS = ("-fno-ipa-ra", "-fno-ipa-stack-alignment")


@pytest.fixture(scope="module")
def tried(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> TrialBuild:
    """A unit that was built in mode trial; nobody writes to it."""
    work = TrialBuild(prefix, tmp_path_factory.mktemp("tried"))
    work.write(unit_c=UNIT)
    work.build("-O2", "-c", "unit.c")
    return work


@pytest.fixture
def work(tried: TrialBuild, tmp_path: Path) -> TrialBuild:
    """The same unit in a project of one's own, whose store knows its functions on trial."""
    mine = TrialBuild(tried.prefix, tmp_path)
    mine.write(unit_c=UNIT)
    for one in tried.every_contest:
        Contests(Store(tmp_path / "store").user).put(one.model_copy(update={"cwd": str(tmp_path)}))
    return mine


def choose(work: TrialBuild, recipe: str, function: str = "sum") -> Entry:
    """What `gccllm trial` remembers when that recipe wins."""
    one = work.contests[function]
    body = 1 + [contender.recipe for contender in one.contenders].index(recipe)
    verdicts = Verdicts(winners=[Winner(one, body, EFFECT)], placebo=Effect(1.001, 0.998, 1.004), runs=96)
    remember(verdicts, [one], store := Store(work.here / "store"))
    found = store.find(one.key)
    assert found is not None
    return found.entry


def built(work: TrialBuild, **extra: str) -> bytes:
    """The object of a build that looks up what is known and works on nothing."""
    work.build("-O2", "-c", "unit.c", GCCLLM_MODE="cached", **extra)
    return (work.here / "unit.o").read_bytes()


def code(work: TrialBuild, name: str = "unit.o", function: str = "sum") -> list[str]:
    """Mnemonics, without padding: that is aligned otherwise in another place."""
    words = ["objdump", "-d", "--no-show-raw-insn", f"--disassemble={function}", name]
    text = subprocess.run(words, cwd=work.here, capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^ +[0-9a-f]+:\t(\S+)", text, re.MULTILINE)
    return [row for row in rows if not re.match(r"nop|cs|data16|xchg", row)]


def gccs_code(work: TrialBuild, recipe: str = "", function: str = "sum") -> list[str]:
    flags = (*BY_NAME[recipe].flags.split(), "-ffp-contract=off") if recipe else ("-O3",)
    subprocess.run(["gcc", *LIKE_OURS, *flags, "-c", "unit.c", "-o", "gcc.o"], cwd=work.here, check=True)
    return code(work, "gcc.o", function)


def reasons(work: TrialBuild, function: str = "sum") -> list[str | None]:
    """What the last builds said of the function."""
    rows = map(json.loads, (work.here / "store" / "log" / "events.jsonl").read_text().splitlines())
    return [row.get("reason") for row in rows if row["event"] == "function" and row["function"] == function]


# --- the next build ------------------------------------------------------------------------------------


def test_the_next_build_links_what_gcc_makes_by_the_recipe(work: TrialBuild) -> None:
    choose(work, "unrolled")
    built(work)
    assert code(work) == gccs_code(work, "unrolled") != gccs_code(work)
    assert code(work, function="other") == gccs_code(work, function="other")


def test_a_body_of_another_level_stands_behind_a_guard(work: TrialBuild) -> None:
    choose(work, "v3")
    built(work)
    rows = " ".join(code(work))
    assert "vpaddq" in rows
    assert rows.endswith(" ".join(gccs_code(work)[-5:]))  # gcc's own follows it


def test_the_choice_outlives_an_edit_elsewhere_and_one_of_the_function(work: TrialBuild) -> None:
    choose(work, "unrolled")
    before = built(work)
    work.write(unit_c=UNIT.replace("s ^= a[i]", "s |= a[i]"))
    assert built(work) != before
    assert code(work) == gccs_code(work, "unrolled") != gccs_code(work)
    work.write(unit_c=UNIT.replace("* 3", "* 5"))
    built(work)
    assert code(work) == gccs_code(work, "unrolled") != gccs_code(work)


def test_the_second_build_takes_it_from_the_unit_cache_which_a_new_choice_invalidates(work: TrialBuild) -> None:
    choose(work, "unrolled")
    first, asked = built(work), len(reasons(work))
    assert (built(work), len(reasons(work))) == (first, asked)
    choose(work, "O2")
    assert built(work) != first
    assert code(work) == gccs_code(work, "O2")


def test_other_options_and_another_file_have_other_choices(work: TrialBuild) -> None:
    choose(work, "unrolled")
    work.build("-O2", "-funroll-all-loops", "-c", "unit.c", GCCLLM_MODE="cached")
    assert reasons(work)[-1] != "nothing_faster"
    (work.here / "unit.c").rename(work.here / "moved.c")
    work.build("-O2", "-c", "moved.c", "-o", "unit.o", GCCLLM_MODE="cached")
    (work.here / "moved.c").rename(work.here / "unit.c")
    assert code(work) == gccs_code(work)


def test_a_baseline_setting_has_no_choice_of_another_level(work: TrialBuild) -> None:
    choose(work, "v3")
    built(work, GCCLLM_ISA="baseline")
    assert code(work) == gccs_code(work)


def test_a_recipe_that_is_refused_today_is_declined_by_its_reason(work: TrialBuild) -> None:
    choose(work, "unrolled")
    work.write(unit_c=UNIT.replace("long s = 0;", "static long s;") + UNIT.replace("sum", "sum2").replace(
        "long s = 0;", "static long s;").replace("other", "other2"))  # fmt: skip
    built(work)
    assert code(work) == gccs_code(work)
    assert reasons(work)[-1] == "other_symbols"
    assert "other_symbols: several functions have a variable like s." in gccllm(work, "explain", "unit.c")


# --- an entry that somebody changed --------------------------------------------------------------------


def tampered(work: TrialBuild, entry: Entry, **changes: object) -> None:
    """The entry, changed, in the project's own cache; the user's store forgets it."""
    Store(work.here / "store").forget(entry.key)
    path = work.here / "cache" / "rewrites" / f"{entry.key}.entry"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(entry.model_copy(update=changes).dump())
    (work.here / "gccllm.toml").write_text("")


def test_a_body_in_a_projects_cache_is_not_read(work: TrialBuild) -> None:
    tampered(work, choose(work, "unrolled"), body="\txorl %eax, %eax\n\tret\n")
    built(work)
    assert code(work) == gccs_code(work, "unrolled")


def test_a_recipe_in_a_projects_cache_can_only_choose_another_row(work: TrialBuild) -> None:
    tampered(work, choose(work, "unrolled"), recipe="O2")
    built(work)
    assert code(work) == gccs_code(work, "O2")


@pytest.mark.parametrize("recipe", ["-O3 -ffast-math", "rewrite", "", "unrolled -ffast-math"])
def test_a_recipe_that_is_no_row_is_none(work: TrialBuild, recipe: str) -> None:
    tampered(work, choose(work, "unrolled"), recipe=recipe, body="\txorl %eax, %eax\n\tret\n")
    built(work)
    assert code(work) == gccs_code(work)


def test_a_choice_that_did_not_win_is_none(work: TrialBuild) -> None:
    entry = choose(work, "unrolled")
    assert entry.evidence is not None
    lost = entry.evidence.timing.model_copy(update={"speedup": 0.98, "low": 0.97})
    tampered(work, entry, evidence=entry.evidence.model_copy(update={"timing": lost}))
    built(work)
    assert code(work) == gccs_code(work)
    assert reasons(work)[-1] == "not_faster"


# --- what the subcommands say ------------------------------------------------------------------------


def gccllm(work: TrialBuild, *words: str, status: int = 0) -> str:
    """Its output, 80 columns wide."""
    import sys

    done = subprocess.run(
        [sys.executable, "-c", "from gccllm.commands.cli import main; main()", *words],
        cwd=work.here, env=work.environment(GCCLLM_MODE="inline", PYTHONPATH=str(ROOT), COLUMNS="80"),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def used(work: TrialBuild) -> TrialBuild:
    choose(work, "unrolled")
    built(work)
    return work


def test_show_says_what_was_decided_and_how(used: TrialBuild) -> None:
    text = gccllm(used, "show", "sum")
    assert "1.023x (95% 1.011 to 1.035), A/A 1.001" in text
    assert "compiled, chosen by a trial of the program" in text
    assert "unrolled" in text
    assert "96 runs" in text
    assert "mutants" not in text  # there were no tests, and that says nothing bad of it
    assert all(len(line) <= 80 for line in text.splitlines())


def test_explain_says_so_in_one_line(used: TrialBuild) -> None:
    text = gccllm(used, "explain", "-v", "unit.c")
    assert re.search(r"^sum +admitted +recompile: unrolled, 1\.02x", text, re.MULTILINE)
    assert "compiled, chosen by a trial of the program: 1.023x (1.011 to 1.035)" in text


def test_ls_and_stats_list_it(used: TrialBuild) -> None:
    row = r"^ *sum +1\.02x.* unrolled .*compiled"
    assert re.search(row, gccllm(used, "cache", "ls"), re.MULTILINE)
    assert re.search(row, gccllm(used, "stats"), re.MULTILINE)


def test_verify_has_nothing_to_run_for_it_and_says_so(used: TrialBuild) -> None:
    text = gccllm(used, "cache", "verify")
    assert re.search(r"^sum +stands +user +compiled: each build makes it anew by unrolled", text, re.MULTILINE)


def test_export_takes_it_along_and_a_clone_of_the_project_builds_the_same(used: TrialBuild, tmp_path: Path) -> None:
    (used.here / "gccllm.toml").write_text("")
    gccllm(used, "cache", "export")
    before = built(used)
    (used.here / "store").rename(used.here / "elsewhere")
    assert built(used) == before
    assert code(used) == gccs_code(used, "unrolled")


# --- a profile says which functions are worth a trial ------------------------------------------------


def test_only_functions_that_the_profile_knows_are_on_trial_and_other_units_are_not_asked_about(
    prefix: Path, tmp_path: Path
) -> None:
    work = TrialBuild(prefix, tmp_path)
    work.write(hot_c=UNIT, cold_c=UNIT.replace("sum", "sum2").replace("other", "other2"))
    (tmp_path / "gccllm.toml").touch()
    write_profile(tmp_path / "gccllm.profile", Counter({("program", "sum"): 90}), ["program"], "perf")
    work.build("-O2", "-c", "hot.c", "cold.c")
    assert work.contests.keys() == {"sum"}
    asked = {event["source"] for event in events.read(tmp_path / "store") if event["event"] == "unit"}
    assert asked == {str(tmp_path / "hot.c")}


# --- a later trial -----------------------------------------------------------------------------------


def test_what_does_not_win_again_is_no_longer_chosen(work: TrialBuild) -> None:
    store = Store(work.here / "store")
    (contest,) = (one for one in work.every_contest if one.function == "sum")
    remember(Verdicts([Winner(contest, 2, EFFECT)]), [contest], store)
    assert store.find(contest.key) is not None
    remember(Verdicts(), [contest], store)
    assert store.find(contest.key) is None
