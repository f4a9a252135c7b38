"""Suite `recorded`: a small package made here goes the whole way; the tables on logs with known content."""

from __future__ import annotations

import json
import sys
import tarfile
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console

from gccllm.lab.bench import recorded_projects, recorded_tables
from gccllm.lab.bench.objects import BuildFailed
from gccllm.lab.bench.recorded import run_project, whole_program
from gccllm.lab.bench.recorded_projects import PROJECTS, Project, Recipe
from gccllm.lab.bench.recorded_tables import Function, Outcome, as_markdown, functions, outcome_of
from gccllm.lab.bench.recorded_ways import Make, Pip, read_junit

LIBRARY = r"""
#include <Python.h>
struct node { int key, value, next; };
struct map { int size, *heads; struct node *nodes; };

/* Invariants that no type shows: links are indices, and end. */
__attribute__((noinline)) int find(const struct map *m, int key) {
    for (int i = m->heads[(unsigned)key % (unsigned)m->size]; i >= 0; i = m->nodes[i].next)
        if (m->nodes[i].key == key) return m->nodes[i].value;
    return -1;
}

static PyObject *total(PyObject *self, PyObject *args) {
    static int heads[13];
    static struct node nodes[100];
    struct map m = {13, heads, nodes};
    long n, sum = 0;
    if (!PyArg_ParseTuple(args, "l", &n)) return NULL;
    for (int i = 0; i < 13; i++) heads[i] = -1;
    for (int i = 0; i < 100; i++) {
        nodes[i] = (struct node){7 * i, i, heads[7 * i % 13]};
        heads[7 * i % 13] = i;
    }
    for (long i = 0; i < n; i++) sum += find(&m, i % 701);
    return PyLong_FromLong(sum);
}
static PyMethodDef methods[] = {{"total", total, METH_VARARGS, ""}, {NULL}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "chains", NULL, -1, methods};
PyMODINIT_FUNC PyInit_chains(void) { return PyModule_Create(&module); }
"""
SETUP = """
from setuptools import Extension, setup
setup(name="chains", version="1.2", py_modules=[], ext_modules=[Extension("chains", ["chains.c"])])
"""
TESTS = """
import chains
import pytest
@pytest.mark.parametrize("n", [1, 8])
def test_total(n): assert chains.total(n) == (0 if n == 8 else 0) - (n - n // 8 - 1) + n // 8
def test_skipped(): pytest.skip("not here")
"""
WORKLOAD = """import sys, chains
seed, size, times = map(int, sys.argv[1:])
print(*{chains.total(size + seed) for _ in range(times)})
"""


@pytest.fixture
def chains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    root = tmp_path / "chains-1.2"
    (root / "tests").mkdir(parents=True)
    (root / "chains.c").write_text(LIBRARY)
    (root / "setup.py").write_text(SETUP)
    (root / "tests" / "test_chains.py").write_text(TESTS)
    (root / "leftover").mkdir()
    place = tmp_path / "work" / "archives" / "chains"
    place.mkdir(parents=True)
    with tarfile.open(place / "chains-1.2.tar.gz", "w:gz") as archive:
        archive.add(root, "chains-1.2")
    (tmp_path / "on_chains.py").write_text(WORKLOAD)
    monkeypatch.setattr(recorded_projects, "WORKLOADS", tmp_path)
    return Project(
        "chains", ("tests",), (20_000, 1), (30_000, 500), without=("leftover",), exclude=("PyInit*", "total")
    )


def test_a_package_goes_the_whole_way(chains, prefix, tmp_path, monkeypatch):
    monkeypatch.setenv("GCCLLM_PROPOSERS", "recompile")
    compiler = str(prefix / "bin" / "gcc-llm")
    found = run_project(chains, tmp_path / "work", Path(sys.executable), compiler, 3600.0, 2)
    assert (found.version, found.same, found.tests_same) == ("1.2", "yes", True)
    assert found.tests_before == found.tests_after == {"passed": 2, "skipped": 1}
    one = next(f for f in found.functions if f.name == "find")
    assert one.recordable == "yes"
    assert one.calls == 20_001
    assert one.recorded >= 8
    assert one.edges is not None
    assert one.edges[0] == one.edges[1]
    assert one.is_tested
    assert one.word in ("admitted", "declined", "queued"), "queued: too noisy to decide, also for `tune`"
    assert {f.name: f.recordable for f in found.functions}["total"] == "excluded"
    # What was found is kept, and makes the same tables again.
    again = outcome_of(json.loads((tmp_path / "work" / "chains" / "result.json").read_text()))
    assert asdict(again) == asdict(found)


def test_a_build_that_fails_is_said(chains, tmp_path, monkeypatch):
    root = tmp_path / "broken"
    root.mkdir()
    (root / "setup.py").write_text("raise SystemExit('no compiler for this')\n")
    with pytest.raises(BuildFailed, match="no compiler for this"):
        Pip(chains, Path(sys.executable)).build(root, tmp_path / "site", {})


def test_another_output_and_a_failing_workload_are_seen(tmp_path):
    argv = ["sh", "-c", "cat $PYTHONPATH/says; exit $(cat $PYTHONPATH/status)"]
    for name, says, status in (("a", "1", 0), ("b", "2", 0), ("c", "1", 3)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "says").write_text(says)
        (tmp_path / name / "status").write_text(str(status))
    a, b, c = (tmp_path / name for name in "abc")
    env = {"PATH": "/usr/bin:/bin"}
    assert whole_program(argv, a, a, a, env, 1)[2] == "yes"
    assert whole_program(argv, a, a, b, env, 1)[2].startswith("NO: exit 0")
    assert whole_program(argv, a, a, c, env, 1)[2].startswith("NO: exit 3")
    assert whole_program(argv, c, c, c, env, 1)[2].startswith("NO: gcc's own build fails")


def installed(folder, says):
    """A package with a test inside it, in a folder."""
    (folder / "pack").mkdir(parents=True)
    (folder / "pack" / "__init__.py").write_text("")
    (folder / "pack" / "test_pack.py").write_text(says)
    return folder


def test_tests_inside_a_package_run_where_it_is_installed(tmp_path):
    tree = installed(tmp_path / "tree", "def test_it(): raise SystemError('the tree has no built module')\n")
    site = installed(tmp_path / "site", "def test_it(): import pack\n")
    project = recorded_projects.Project("pack", ("pack/test_pack.py",), (1, 1), (1, 1))
    found = Pip(project, Path(sys.executable)).own_tests(tree, site, {"PATH": "/usr/bin:/bin"})
    assert found == {"pack.test_pack::test_it 1": "passed"}


def test_tests_that_cannot_be_collected_are_no_result(tmp_path):
    site = installed(tmp_path / "site", "import nothing_of_this_name\n")
    project = recorded_projects.Project("pack", ("pack/test_pack.py",), (1, 1), (1, 1))
    with pytest.raises(BuildFailed, match="nothing_of_this_name"):
        Pip(project, Path(sys.executable)).own_tests(site, site, {"PATH": "/usr/bin:/bin"})


def test_a_project_of_shell_lines_is_built_and_tested(tmp_path):
    root = tmp_path / "said-1.0"
    root.mkdir()
    (root / "said.c").write_text('#include <stdio.h>\nint main(void) { puts("a-1... Ok\\na-2... Expected: 2"); }\n')
    recipe = Recipe(('"$CC" said.c -o said',), ("./said", "./said | cmp - said.c", "true"), r"^([\w.-]+)\.\.\. (\w+)")
    project = Project("said", (), (1, 1), (1, 1), recipe=recipe)
    way, env = Make(project, recipe), {"PATH": "/usr/bin:/bin", "CC": "gcc"}
    way.build(root, tmp_path / "site", env)
    assert not (root / "said").exists()
    assert way.own_tests(root, tmp_path / "site", env) == {
        "./said: a-1": "passed", "./said: a-2": "failed", "./said | cmp - said.c": "failed", "true": "passed"
    }  # fmt: skip
    with pytest.raises(BuildFailed, match="no-such-compiler"):
        way.build(root, tmp_path / "site", env | {"CC": "no-such-compiler"})


def test_every_test_has_its_outcome_also_those_of_one_name(tmp_path):
    (tmp_path / "report.xml").write_text(
        '<testsuites><testsuite><testcase classname="a" name="t"/>'
        '<testcase classname="a" name="t[x7]"><failure/></testcase>'
        '<testcase classname="b" name="t"><skipped/></testcase><testcase classname="c" name="t"><error/></testcase>'
        "</testsuite></testsuites>"
    )
    assert read_junit(tmp_path / "report.xml") == {
        "a::t 1": "passed",
        "a::t 2": "failed",
        "b::t 1": "skipped",
        "c::t 1": "failed",
    }


def event(name: str, **words: object) -> dict[str, object]:
    return {"event": "function", "source": "/there/a.c", "function": name, **words}


def test_a_function_is_what_the_logs_say_of_it():
    at_recording = [event("hot", word="recording"), event("glue", word="declined", reason="impure_callee")]
    tests = event("hot", recorded=9, mutated=2, made=1, edges=[4, 4], mutants=[7, 7]) | {"event": "tests"}
    at_build = [
        tests,
        event("hot", word="admitted", proposer="recompile", recipe="gcc: -O2", speedup=1.25),
        event("glue", word="declined", reason="impure_callee", detail="free"),
    ]
    kept = [{"source": "a.c", "function": "hot", "calls": 100, "kept": 9, "dropped": {"budget": 3}}]
    hot, glue = functions(at_recording, at_build, kept, {"hot": 0.5, "elsewhere": 0.25})
    assert (hot.name, hot.share, hot.calls, hot.kept, hot.word, hot.speedup) == ("hot", 0.5, 100, 9, "admitted", 1.25)
    assert hot.is_tested
    assert (glue.recordable, glue.reason, glue.detail, glue.is_tested) == (
        "impure_callee",
        "impure_callee",
        "free",
        False,
    )


def test_a_build_that_only_takes_what_there_is_replaces_nothing():
    later = event("hot", word="queued", reason="not_in_store")
    (one,) = functions(
        [event("hot", word="recording"), later], [event("hot", word="queued", reason="noisy"), later], [], {}
    )
    assert (one.recordable, one.word, one.reason) == ("yes", "queued", "noisy")
    (alone,) = functions([], [later], [], {})
    assert alone.reason == "not_in_store"


def test_tests_that_were_not_adequate_do_not_count():
    tests = event("f", recorded=9, mutated=0, made=0, edges=[3, 4], mutants=None) | {"event": "tests"}
    (one,) = functions([], [tests, event("f", word="declined", reason="edges_missed")], [], {})
    assert not one.is_tested


def test_the_page_has_the_numbers():
    outcome = Outcome("tiny", "1.2", [Function("hot|cold", "a.c", 0.5, "yes", 100, 9, recorded=9, edges=[4, 4],
                                               mutants=[7, 8], word="admitted", proposer="recompile", recipe="O2: x",
                                               speedup=1.25, eligible=True)],
                      0.6, {"passed": 3}, {"passed": 2, "failed": 1}, False, ["a::t"], "yes", 1.01, 0.99)  # fmt: skip
    page = as_markdown([outcome])
    assert "| hot\\|cold | 50.0% | yes | 100 | 9 | 9+0+0 | 4/4 | 7/8 | admitted: recompile, O2, 1.25x |" in page
    assert "DIFFER: a::t" in page
    assert "| admitted | 50.0% |\n| elsewhere | 50.0% |" in page
    assert "| tiny | 1.2 | 1 | 1 | 1 | 1 | 1 |" in page
    out = Console(width=400, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    recorded_tables.print_all(out, [outcome])
    assert "60% of the run time in its own code" in out.export_text()


def test_every_project_has_its_workload():
    assert all(project.workload.is_file() for project in PROJECTS)
