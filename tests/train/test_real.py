"""Functions of real programs: found, once each, with their licence; verified ones alone are taught, as KEEP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gccllm.base.deadline import NEVER
from gccllm.base.toolchain import Toolchain
from gccllm.lab.train.corpus import NAME, REAL, card, read, real, types_of
from gccllm.lab.train.examples import load_examples
from gccllm.propose.c_words import KEEP
from gccllm.propose.tokens import Tokens

TOOLS = Toolchain.find()
SUM = "unsigned {}(unsigned char *a, int n) {{ unsigned s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }}\n"
FILES = {
    "include/toy.h": "typedef int number;\n",
    "src/sums.c": '#include "toy.h"\n' + SUM.format("total") + """
number least(number *a, long n) { number s = a[0]; for (long i = 1; i < n; i++) if (a[i] < s) s = a[i]; return s; }
number flat(number a) { return a + 1; }
number strange(number (*f)(number), long n) { number s = 0; for (long i = 0; i < n; i++) s += f(s); return s; }
struct pair { long a, b; };
long given(struct pair p) { long s = 0; while (p.a != p.b) { s += p.a & 1; p.a = p.a * 3 + 1; } return s; }
""",
    "src/copy.c": SUM.format("again"),
    "src/needs.c": '#include "absent.h"\n',
    "src/other.c": "/* GNU General Public License */\n" + SUM.format("theirs"),
}  # fmt: skip
METADATA = "Metadata-Version: 2.4\nName: toy\nVersion: 1.2\nLicense: MIT\n\nNot the GPL\n"


@pytest.fixture
def source(tmp_path: Path) -> real.Source:
    return toy(tmp_path / "toy-1.2", FILES)


def toy(root: Path, files: dict[str, str]) -> real.Source:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return real.Source("toy", *real.version_and_licence(METADATA), root)


def test_functions_with_a_loop_and_words_are_found_once(source: real.Source) -> None:
    rows, counts = real.scan(TOOLS, source, set())
    # `copy.c` comes before `sums.c`, so the sum has its name from there
    assert [row["key"] for row in rows] == ["real/toy/copy/again", "real/toy/sums/least"]
    assert counts == {
        "units": 4, "failed: header missing": 1, "failed: licence": 1, "functions": 6, "plain": 5, "loops": 4,
        "typed": 3, "new": 2,
    }  # fmt: skip
    assert {(row["package"], row["version"], row["licence"]) for row in rows} == {("toy", "1.2", "MIT")}
    assert {(row["answer"], row["split"], row["status"]) for row in rows} == {(KEEP, "context", real.UNTRIED)}
    assert rows[1]["types"] == ["i32", ["pi32", "i64"]]
    assert rows[1]["c"].startswith("number least(")


@pytest.mark.parametrize(
    ("metadata", "licence", "permissive"),
    [
        ("License-Expression: BSD-3-Clause\nLicense: x\n", "BSD-3-Clause", True),
        ("Classifier: License :: OSI Approved :: Apache Software License\n", "Apache Software License", True),
        ("License: MIT License\n        and its text\n", "MIT License", True),
        ("License-Expression: GPL-2.0-only OR BSD-3-Clause\n", "GPL-2.0-only OR BSD-3-Clause", True),
        ("License-Expression: MIT AND LGPL-2.1-only\n", "MIT AND LGPL-2.1-only", False),
        ("License: Permitted\n", "Permitted", False),
        ("Summary: MIT\n", "?", False),
    ],
)
def test_licences(metadata: str, licence: str, permissive: bool) -> None:
    assert real.version_and_licence("Version: 7\n" + metadata) == ("7", licence)
    assert real.is_permissive(licence) is permissive


def test_a_package_without_a_permissive_licence_is_left_out(
    source: real.Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real.harvest_real(tmp_path, [real.Source("toy", "1.2", "GPL-3.0-only", source.root)], 100)
    assert "left out" in capsys.readouterr().out
    assert not (tmp_path / REAL).exists()


@pytest.mark.serial
def test_the_gate_names_the_winner_and_is_not_asked_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = toy(tmp_path / "toy-1.2", {"sums.c": SUM.format("total")})
    real.harvest_real(tmp_path, [source], 300)
    (row,) = read(tmp_path / REAL)
    if row["status"] in real.AGAIN:
        pytest.skip(f"this machine is too busy to time anything: {row['status']}")
    assert row["status"] == real.VERIFIED
    assert (row["answer"], row["expert"], row["split"]) == (KEEP, "", real.split_of(row["prompt"]))
    best, other, nothing = row["ticks"]
    assert (other, nothing) == (1000, 0)
    assert best > 1000 or row["recipe"] == real.NONE
    assert f"| winner of a verified row | {row['recipe']} 1 |" in real.summary(tmp_path)
    assert "| toy | 1.2 | MIT | 1 | 1 | 1 | 1 | 1 | 1 | 1 | 1 |" in real.summary(tmp_path)
    monkeypatch.setattr(real, "decide", None)
    real.harvest_real(tmp_path, [source], 300)
    assert list(read(tmp_path / REAL)) == [row]


def test_a_text_that_no_build_has_is_not_put_to_the_gate(source: real.Source, tmp_path: Path) -> None:
    rows, _ = real.scan(TOOLS, source, set())
    row = rows[0] | {"prompt": rows[1]["prompt"]}
    assert [r["status"] for r in real.verify([row], source, tmp_path, NEVER)] == [real.DIFFERS]


def row_of(number: int, **more: Any) -> dict[str, Any]:
    return {
        "prompt": f"\tmovl\t$5{number}, %eax\n\tret\n" + "\tnop\n" * number, "split": "train", "answer": KEEP,
        "expert": "return a;", "types": ["i32", ["i32"]], "family": "toy", "key": f"toy/{number}", "ticks": [1, 1, 0],
        "status": "pass", "c": "",
    } | more  # fmt: skip


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_verified_rows_have_half_of_the_share_of_keep(tmp_path: Path) -> None:
    taught = [row_of(i, key="toy/same", ticks=[9, 9, 1]) for i in range(16)]
    corpus = [*taught, *(row_of(i, key=f"slow/{i}", ticks=[9, 9, 9]) for i in range(20, 40))]
    found = [
        row_of(i, family="real/toy", key=f"real/toy/a/{i}", split=split, status=status, expert="")
        for i, split, status in (
            (41, "train", "verified"), (42, "context", "unverified-recipe"), (43, "context", "edges_missed"),
            (20, "train", "verified"),
        )
    ]  # fmt: skip
    tokens = Tokens.build([(row["prompt"], row["expert"]) for row in corpus])
    write(tmp_path / NAME, corpus)
    without = load_examples(tokens, tmp_path / NAME, frozenset())["train"]
    write(tmp_path / REAL, found)
    examples = load_examples(tokens, tmp_path / NAME, frozenset())["train"]
    keep = tokens.encode_c(KEEP, "")
    prompts = {row["prompt"]: tokens.encode_text(row["prompt"], types_of(row)) for row in (*corpus, *found)}
    kept = [ids[:start] for ids, start in examples if ids[start:-1] == keep]
    real_prompt = prompts[found[0]["prompt"]]
    assert len(examples) == len(without)
    assert kept.count(real_prompt) >= len(kept) / 2
    assert prompts[found[1]["prompt"]] not in kept
    assert prompts[found[2]["prompt"]] not in kept
    assert load_examples(tokens, tmp_path / NAME, frozenset([found[0]["prompt"]]))["train"] != examples


def test_the_card_counts_packages_with_licences(
    source: real.Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / NAME, [row_of(1)])
    assert "real programs" not in card.card(tmp_path)
    monkeypatch.setattr(real, "verify", lambda *_: iter(()))
    real.harvest_real(tmp_path, [source], 100)
    text = card.card(tmp_path)
    assert "| toy | 1.2 | MIT | 4 | 2 | 6 | 5 | 4 | 3 | 2 | 0 |" in text
    assert "| no verified answer | unverified-recipe 2 |" in text
