"""Effects that gcc's assembly does not show are found in its tree dump."""

from __future__ import annotations

from pathlib import Path

from gccllm.harvest.effects import hidden_effects
from gccllm.reasons import Reason
from gccllm.toolchain import Toolchain

SOURCE = """\
#include <stdatomic.h>
extern volatile int port;
static inline int read_port(void) { return port; }
int cast(int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += *(volatile int *)(p + i); return s; }
int inlined(int n) { int s = 0; for (int i = 0; i < n; i++) s += read_port(); return s; }
int barrier(int n) { int s = 0; for (int i = 0; i < n; i++) { __asm__("" ::: "memory"); s ^= i * n; } return s; }
int relaxed(atomic_int *p, int n)
{ int s = 0; for (int i = 0; i < n; i++) s += atomic_load_explicit(p + i, memory_order_relaxed); return s; }
int plain(int *a, int n)
{ int c[4] = {0}; for (int i = 0; i < n; i++) { int d[2]; d[i & 1] = a[i]; c[a[i] & 3] += d[a[i] & 1]; } return c[1]; }
"""


def test_volatile_atomic_and_empty_assembly_are_seen_and_plain_code_is_not(tmp_path: Path) -> None:
    (tmp_path / "t.c").write_text(SOURCE)
    found = hidden_effects(Toolchain.find(), ["-O3"], tmp_path / "t.c")
    assert {name: reason for name, (reason, _) in found.items()} == {
        "cast": Reason.VOLATILE,
        "inlined": Reason.VOLATILE,
        "barrier": Reason.ASM_INLINE,
        "relaxed": Reason.ATOMIC,
    }


def test_cxx_functions_go_by_their_assembler_names(tmp_path: Path) -> None:
    (tmp_path / "t.cc").write_text(
        "namespace n { int f(volatile int *p, int k) { int s = 0; while (k--) s += *p; return s; } }\n"
    )
    assert set(hidden_effects(Toolchain.find(), ["-O2"], tmp_path / "t.cc", language="c++")) == {"_ZN1n1fEPVii"}
