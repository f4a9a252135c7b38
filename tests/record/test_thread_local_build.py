"""A threaded program whose hot function works on thread-local data, its own and another unit's: recorded, built again,
and it says the same. As an executable, and as a library that the running program loads."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.kit.recording import environment, gccllm

UNIT = """
#include <stdint.h>
extern __thread uint32_t salt[4];
static __thread uint32_t totals[256];
__attribute__((noinline)) uint32_t sum(const uint8_t *p, uint32_t by) {
    for (int i = 0; i < 256; i++) totals[i] = totals[i] * by + p[i];
    return totals[by & 255] + salt[by & 3]; }
"""
OTHER = """
#include <stdint.h>
__thread uint32_t salt[4] = {1, 2, 3, 4};
void shake(uint32_t by) { for (int i = 0; i < 4; i++) salt[i] = salt[i] * 5 + by; }
"""
MAIN = r"""
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#ifdef LIBRARY
static uint32_t (*sum)(const uint8_t *, uint32_t);
static void (*shake)(uint32_t);
#else
uint32_t sum(const uint8_t *, uint32_t);
void shake(uint32_t);
#endif
static void *work(void *of) {
    static const uint8_t text[300] = "the quick brown fox jumps over the lazy dog, again and again and again";
    uint64_t all = 0;
    shake((uint32_t)(uintptr_t)of);
    for (uint32_t i = 0; i < 60; i++)
        all = all * 31 + sum(text + i % 40, i + (uint32_t)(uintptr_t)of);
    return (void *)all;
}
int main(void) {
#ifdef LIBRARY
    void *library = dlopen("./library.so", RTLD_NOW);
    if (!library)
        return fprintf(stderr, "%s\n", dlerror()), 2;
    *(void **)&sum = dlsym(library, "sum"), *(void **)&shake = dlsym(library, "shake");
#endif
    uint64_t all = (uint64_t)work(0);
    for (uintptr_t t = 1; t < 4; t++) {
        pthread_t one;
        void *more;
        pthread_create(&one, 0, work, (void *)t), pthread_join(one, &more);
        all = all * 7 + (uint64_t)more;
    }
    printf("%llu\n", (unsigned long long)all);
    return 0;
}
"""
WORDS = {"fixed": ("-fno-pie", "-no-pie"), "pie": ("-fPIE", "-pie"), "library": ("-fPIC",)}


def build(compiler: str, place: Path, kind: str, **more: str) -> str:
    """Builds the program; what it says."""
    env = environment(place, **more)
    sources = ["unit.c", "other.c"]
    if kind == "library":
        command = [compiler, "-O3", *WORDS[kind], "-shared", "-o", "library.so", *sources]
        subprocess.run(command, cwd=place, env=env, check=True)
        subprocess.run(["gcc", "-DLIBRARY", "-o", "program", "main.c", "-ldl", "-lpthread"], cwd=place, check=True)
    else:
        command = [compiler, "-O3", *WORDS[kind], "-o", "program", *sources, "main.c", "-ldl", "-lpthread"]
        subprocess.run(command, cwd=place, env=env, check=True)
    return subprocess.run(["./program"], cwd=place, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("kind", WORDS)
def test_recorded_calls_are_tests_and_the_program_says_the_same(kind: str, prefix: Path, tmp_path: Path) -> None:
    for name, text in (("unit.c", UNIT), ("other.c", OTHER), ("main.c", MAIN)):
        (tmp_path / name).write_text(text)
    compiler = str(prefix / "bin" / "gcc-llm")
    want = build("gcc", tmp_path, kind)
    assert build(compiler, tmp_path, kind, GCCLLM_MODE="record") == want
    ran = gccllm(tmp_path, "record", "--", "./program")
    assert (ran.returncode, ran.stdout) == (0, want), ran.stderr
    (one,) = json.loads(gccllm(tmp_path, "tests", "show", "sum", "--json").stdout)["functions"]
    assert one["calls"] == 240
    assert len(one["tests"]) > 10
    assert all(test["replays"] for test in one["tests"])

    assert build(compiler, tmp_path, kind, GCCLLM_PROPOSERS="recompile", GCCLLM_BUDGET="100") == want
    ran = gccllm(tmp_path, "explain", "--work", "--json", "unit.c", WORDS[kind][0], "-O3", GCCLLM_PROPOSERS="recompile")
    found = {row["function"]: row for row in json.loads(ran.stdout)["functions"]}
    assert found["sum"]["reason"] in (None, "nothing_faster", "noisy"), found["sum"]
