"""What follows a file or a command belongs to another program."""

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import gccllm
from gccllm.commands.cli import main
from gccllm.commands.extras import WithExtras
from gccllm.store import Store

CACHE = Path(__file__).resolve().parents[2] / "cache"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that includes a header from a folder whose name has our options' letters."""
    monkeypatch.setenv("GCCLLM_CACHE_DIR", str(tmp_path / "store"))
    (tmp_path / "hv").mkdir()
    (tmp_path / "hv" / "much.h").write_text("#define MUCH 3\n")
    path = tmp_path / "a.c"
    path.write_text('#include "much.h"\nint much(int x) { return x * MUCH; }\n')
    return path


@pytest.mark.parametrize("before", [True, False])
def test_flags_of_explain_are_the_compilers(source: Path, before: bool) -> None:
    flags = [f"-I{source.parent}/hv", "-Wno-unused-result", "-fwrapv", "-O2"]
    argv = ["explain", "--json", str(source), *flags] if before else ["explain", str(source), *flags, "--json"]
    ran = CliRunner().invoke(main, argv)
    assert ran.exit_code == 0, ran.output
    assert '"much"' in ran.output


def test_the_options_of_a_profiled_command_are_its_own(tmp_path: Path) -> None:
    out = tmp_path / "said"
    ran = CliRunner().invoke(
        main, ["profile", "-o", str(tmp_path / "p"), "sh", "-c", f'echo "$@" > {out}', "sh", "-o", "x", "-h"]
    )
    assert ran.exit_code == 0, ran.output
    assert out.read_text() == "-o x -h\n"


@pytest.mark.parametrize(
    ("missing", "package", "extra"),
    [("uvicorn", "gcc-llm", "serve"), ("torch", "gcc-llm-lab", "train"), ("pyarrow", "gcc-llm-lab", "large")],
)
def test_a_library_of_an_extra_that_is_missing_is_one_line(
    monkeypatch: pytest.MonkeyPatch, missing: str, package: str, extra: str
) -> None:
    rows = {"gcc-llm": [f"{missing}>=1; extra == 'dev'"], package: [f"{missing}>=1; extra == '{extra}'"]}
    monkeypatch.setattr("gccllm.commands.extras.metadata.requires", lambda name: rows.get(name, []))

    @click.group(cls=WithExtras)
    def group() -> None: ...

    @group.command()
    def needs() -> None:
        raise ModuleNotFoundError(f"No module named '{missing}.part'", name=f"{missing}.part")

    done = CliRunner().invoke(group, ["needs"])
    assert done.exit_code == 1
    assert done.output == f"Error: this needs {missing}.part: pip install '{package}[{extra}]'\n"


def test_the_benchmarks_come_with_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    helped = CliRunner().invoke(main, ["bench", "--help"])
    assert "--suite" in helped.output
    assert "\n  bench " in CliRunner().invoke(main, ["--help"]).output
    nothing = metadata.EntryPoints()
    monkeypatch.setattr("gccllm.commands.extras.metadata.entry_points", lambda **group: nothing)
    done = CliRunner().invoke(main, ["bench"])
    assert done.exit_code == 1
    assert done.output == "Error: `bench` is a command of the lab: in a clone, pip install ./gccllm/lab\n"


def test_nothing_of_the_product_imports_the_lab() -> None:
    product = Path(gccllm.__file__).parent
    files = [path for path in product.rglob("*.py") if product / "lab" not in path.parents]
    assert [path.name for path in files if re.search(r"gccllm\.lab\b", path.read_text())] == []


def test_a_server_for_everybody_has_to_be_asked_for_in_one_line() -> None:
    done = CliRunner().invoke(main, ["serve", "--host", "0.0.0.0"])
    assert done.exit_code == 1
    assert done.output.startswith("Error: 0.0.0.0 can be reached from other machines")
    assert "Traceback" not in done.output


@pytest.mark.parametrize("words", ["cache export --all /proc/nowhere", "stats"])
def test_what_cannot_be_written_is_one_line(tmp_path: Path, words: str) -> None:
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "GCCLLM_CACHE_DIR": str(tmp_path / "store")}
    Store(tmp_path / "store").put(
        next(f.entry for f in Store(tmp_path / "none", CACHE).entries("project") if f.entry.outcome == "accepted")
    )
    argv = [sys.executable, "-m", "gccllm.commands.cli", *words.split()]
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(argv, cwd=tmp_path, env=env, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ran.returncode
    assert "Traceback" not in ran.stderr
    assert ran.stderr.startswith("Error: No ")


@pytest.mark.parametrize("words", ["stats", "cache ls", "tests ls", "explain a.c -O2", "tune", "config", "doctor"])
def test_a_setting_that_was_not_taken_is_told_by_every_command(
    source: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.chdir(source.parent)
    monkeypatch.setenv("GCCLLM_BUDGET", "soon")
    done = CliRunner().invoke(main, words.split())
    assert "GCCLLM_BUDGET is 'soon'; it must be a number" in " ".join(done.output.split())


def test_config_fails_where_a_setting_was_not_taken(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(source.parent)
    assert CliRunner().invoke(main, ["config", "--json"]).exit_code == 0
    (source.parent / "gccllm.toml").write_text('mode = "cached')
    done = CliRunner().invoke(main, ["config", "--json"])
    assert done.exit_code == 1
    assert "gccllm.toml is not read" in done.output


def test_a_directory_that_was_removed_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    argv = f'cd gone && rmdir ../gone && exec "{sys.executable}" -m gccllm.commands.cli stats'
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run(["sh", "-c", argv], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "Error: the current directory was removed: go to one that exists\n"
