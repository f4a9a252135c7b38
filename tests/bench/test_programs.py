"""Suite `programs` on a small package made here: fetching aside, the way of the real ones."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from gccllm.lab.bench import programs
from gccllm.lab.bench.decisions import count
from gccllm.lab.bench.objects import wrapper_environment
from gccllm.lab.bench.programs import PROGRAMS, Program, build, compare, fetch, inputs

LIBRARY = "int twice(int x) { return x + x; }\n"
DRIVER = '#include <stdio.h>\nint twice(int);\nint main(void) { return printf("%d\\n", twice(getchar())) < 0; }\n'


@pytest.fixture
def tiny(tmp_path: Path) -> Program:
    root = tmp_path / "tiny-1.2"
    root.mkdir()
    (root / "lib.c").write_text(LIBRARY)
    (root / "unwanted.c").write_text("#error\n")
    (tmp_path / "driver.c").write_text(DRIVER)
    (tmp_path / "archives" / "tiny").mkdir(parents=True)
    with tarfile.open(tmp_path / "archives" / "tiny" / "tiny-1.2.tar.gz", "w:gz") as archive:
        archive.add(root, "tiny-1.2")
    return Program("tiny", ("*.c",), str(tmp_path / "driver.c"), leave=("unwanted.c",))


def built(program: Program, tmp_path: Path, who: str) -> Path:
    root = fetch(program, tmp_path / "archives")
    return build(program, root, "gcc", tmp_path / who, wrapper_environment(tmp_path / "store"), lambda: None)


def test_two_builds_of_the_same_source_are_the_same(tiny, tmp_path):
    assert compare(tiny, built(tiny, tmp_path, "a"), built(tiny, tmp_path, "b")) == "yes"


def test_another_output_is_seen(tiny, tmp_path):
    good = built(tiny, tmp_path, "a")
    (tmp_path / "archives/tiny.unpacked/tiny-1.2/lib.c").write_text(LIBRARY.replace("x + x", "x + x + (x == 'x')"))
    assert compare(tiny, good, built(tiny, tmp_path, "b")).startswith("NO: a byte")


def test_another_exit_status_is_seen(tiny, tmp_path):
    good = built(tiny, tmp_path, "a")
    Path(tiny.driver).write_text(DRIVER.replace("< 0", "< 9"))
    assert compare(tiny, good, built(tiny, tmp_path, "b")).startswith("NO: nothing: exit 1")


def test_the_version_is_in_the_name_of_the_root(tiny, tmp_path):
    assert fetch(tiny, tmp_path / "archives").name == "tiny-1.2"


def test_every_program_has_its_driver_and_inputs_are_the_same_each_time():
    assert all((programs.DRIVERS / p.driver).is_file() for p in PROGRAMS)
    assert inputs() == inputs()
    assert inputs()["nothing"] == b""


def test_the_last_decision_on_a_function_counts():
    first = {"event": "function", "source": "a.c", "function": "f", "word": "queued", "reason": "budget"}
    then = first | {"word": "admitted", "reason": None, "proposer": "recompile", "speedup": 1.5}
    found = count([first, then])
    assert (found.functions, found.admitted, found.eligible, found.speedups) == (1, 1, 1, {"f": 1.5})
    assert not found.reasons


def test_functions_of_the_same_name_in_two_files_are_two():
    one = {"event": "function", "source": "a.c", "function": "f", "word": "declined", "reason": "not_hot"}
    assert count([one, one | {"source": "b.c"}]).functions == 2


@pytest.mark.parametrize(
    ("reason", "eligible"), [("not_hot", 0), ("edges_missed", 0), ("nothing_faster", 1), ("budget", 1), ("queued", 1)]
)
def test_eligible_means_that_work_could_be_done(reason, eligible):
    line = {"event": "function", "source": "a.c", "function": "f", "word": "declined", "reason": reason}
    assert count([line]).eligible == eligible


def test_a_declined_unit_is_counted_by_its_reason():
    found = count([{"event": "unit_declined", "source": "a.c", "reason": "coverage"}])
    assert (found.units, found.reasons) == (1, {"unit: coverage": 1})
