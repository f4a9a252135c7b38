"""Build systems take gcc-llm for gcc: they detect it, build with it, and what they build passes its own tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gccllm.engine import read_request
from tests.kit.project import generous

ROOT = Path(__file__).resolve().parents[2]


def environment(prefix: Path, tmp_path: Path, **extra: str) -> dict[str, str]:
    """Queue mode: the real shim is in every compile, and none waits for the engine."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith("GCCLLM_") and k not in ("CC", "CFLAGS", "MAKEFLAGS")
    }
    path = f"{prefix}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return kept | {"PATH": path, "GCCLLM_CACHE_DIR": str(tmp_path / "store"), "GCCLLM_MODE": "queue"} | extra


def run(command: list[str], cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout


def queued(tmp_path: Path) -> set[str]:
    """Sources of the units that wait for `gccllm tune`."""
    requests = map(read_request, (tmp_path / "store" / "queue").glob("[0-9a-f]*"))
    return {Path(word).name for request in requests for word in request.driver_argv if word.endswith(".c")}


def test_cmake_with_the_toolchain_file(prefix: Path, tmp_path: Path) -> None:
    project, env = tmp_path / "project", environment(prefix, tmp_path)
    shutil.copytree(ROOT / "examples" / "cmake", project)
    out = run(["cmake", "-S", ".", "-B", "build", "-DCMAKE_TOOLCHAIN_FILE=gcc-llm.cmake"], project, env)
    assert "The C compiler identification is GNU" in out
    run(["cmake", "--build", "build"], project, env)
    run(["ctest", "--test-dir", "build", "--output-on-failure"], project, env)
    library = {path.name for path in (project / "src").glob("*.c")}
    assert queued(tmp_path) >= library  # each has loops


def test_make(prefix: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(ROOT / "examples" / "make", project)
    run(["make", "-j2", "CC=gcc-llm", "check"], project, environment(prefix, tmp_path))
    assert "count.c" in queued(tmp_path)


def test_make_links_rewrites_and_the_next_build_the_same_ones(prefix: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(ROOT / "examples" / "make", project)

    def built(mode: str, store: str = "store") -> bytes:
        """`count.o` of a build that passes the project's tests."""
        settings = {
            "GCCLLM_MODE": mode,
            "GCCLLM_PROPOSERS": "recompile",
            "GCCLLM_ONLY": "sum_bytes",
            "GCCLLM_CACHE_DIR": str(tmp_path / store),
        }
        env = environment(prefix, tmp_path, **generous(tmp_path)) | settings
        run(["make", "clean"], project, env)
        run(["make", "-j2", "CC=gcc-llm", "check"], project, env)
        return (project / "count.o").read_bytes()

    own, rewritten = built("cached", "empty"), built("inline")
    assert rewritten != own
    assert built("cached") == rewritten


def test_setuptools(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = ["setuptools"]\n')
    (tmp_path / "setup.py").write_text(
        "from setuptools import Extension, setup\n"
        "setup(name='summed', ext_modules=[Extension('summed', ['summed.c'])])\n"
    )
    (tmp_path / "summed.c").write_text(
        "#include <Python.h>\n"
        "long total(const unsigned char *a, long n) { long s = 0; for (long i = 0; i < n; i++) s += a[i]; return s; }\n"
        "static PyObject *run(PyObject *self, PyObject *arg) { (void)self;\n"
        "  return PyLong_FromLong(total((unsigned char *)PyBytes_AS_STRING(arg), PyBytes_GET_SIZE(arg))); }\n"
        'static PyMethodDef methods[] = {{"run", run, METH_O, 0}, {0, 0, 0, 0}};\n'
        'static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "summed", 0, -1, methods, 0, 0, 0, 0};\n'
        "PyMODINIT_FUNC PyInit_summed(void) { return PyModule_Create(&module); }\n"
    )
    pytest.importorskip("setuptools")
    env = environment(prefix, tmp_path, CC="gcc-llm")
    run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], tmp_path, env)
    assert run(
        [sys.executable, "-c", "import summed; print(summed.run(bytes(range(256))))"], tmp_path, env
    ).split() == ["32640"]
    assert queued(tmp_path) == {"summed.c"}


def test_meson(prefix: Path, tmp_path: Path) -> None:
    env = environment(prefix, tmp_path, CC="gcc-llm")
    if not all(shutil.which(tool, path=env["PATH"]) for tool in ("meson", "ninja")):
        pytest.skip("meson and ninja are not installed")
    shutil.copy(ROOT / "examples" / "make" / "count.c", tmp_path)
    shutil.copy(ROOT / "examples" / "make" / "count.h", tmp_path)
    shutil.copy(ROOT / "examples" / "make" / "main.c", tmp_path)
    (tmp_path / "meson.build").write_text("project('words', 'c')\nexecutable('words', 'main.c', 'count.c')\n")
    assert "gcc" in run(["meson", "setup", "--buildtype=release", "build"], tmp_path, env)
    run(["meson", "compile", "-C", "build"], tmp_path, env)
    assert "count.c" in queued(tmp_path)


def test_autoconf(prefix: Path, tmp_path: Path) -> None:
    if not shutil.which("autoconf"):
        pytest.skip("autoconf is not installed")
    (tmp_path / "configure.ac").write_text(
        "AC_INIT([words], [1])\nAC_PROG_CC\nAC_CHECK_FUNCS([memchr strtoul nosuchfunction])\nAC_C_INLINE\nAC_OUTPUT\n"
    )
    env = environment(prefix, tmp_path, CC="gcc-llm")
    run(["autoconf"], tmp_path, env)
    out = run(["./configure"], tmp_path, env)
    plain = run(["./configure"], tmp_path, env | {"CC": "gcc"})
    assert out.replace("gcc-llm", "gcc") == plain
