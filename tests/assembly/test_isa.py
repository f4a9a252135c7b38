"""ISA levels, and the constructor and guards on real links."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gccllm.assembly import LEVELS, Rewrite, level_of, march_features, splice
from gccllm.assembly.isa import LEVEL_SYMBOL, constructor
from tests.kit.linked import MAIN, PLUS_100, WHICH, link, run
from tests.kit.units import TOOLS, module


def test_levels_rise_and_share_no_feature() -> None:
    numbers = [level.number for level in LEVELS]
    assert numbers == sorted(set(numbers))
    features = [feature for level in LEVELS for feature in level.features]
    assert len(features) == len(set(features))


@pytest.mark.parametrize(
    ("features", "level"),
    [((), 0), (("SSE2", "X64"), 0), (("POPCNT",), 2), (("AVX2", "SSE3"), 3), (("AVX512VL",), 4), (("GFNI",), 5),
     (("AVX_VNNI", "SSE2"), 6), (("RTM",), None), (("AVX2", "AMX_TILE"), None)],
)  # fmt: skip
def test_the_level_of_features(features: tuple[str, ...], level: int | None) -> None:
    assert level_of(features) == level


def test_flags_say_what_needs_no_guard() -> None:
    assert "AVX2" not in march_features(("-O3",), TOOLS)
    allowed = march_features(("-O3", "-march=x86-64-v3", "-o", "x.o"), TOOLS)
    assert {"AVX2", "BMI2", "FMA", "SSE4_2"} <= allowed
    assert "AVX512F" not in allowed
    assert march_features(("-march=nonsense",), TOOLS) == LEVELS[0].features


POKE = f"""
#include <stdio.h>
extern unsigned char {LEVEL_SYMBOL} __attribute__((visibility("hidden")));
int which(int);
int main(int n, char **v) {{
  int before = which(7); {LEVEL_SYMBOL} = 0; int after = which(7);
  printf("%d %d ", before, after); return 0;
}}
"""


def guarded(tmp_path: Path, level: int = 2, *flags: str, name: str = "which") -> None:
    text = splice(module(WHICH, "-O2", *flags), {"which": Rewrite(PLUS_100, level)}, TOOLS)
    (tmp_path / f"{name}.s").write_text(text)


@pytest.mark.parametrize(
    "flags",
    [(), ("-no-pie",), ("-static",), ("-static-pie",), ("-Wl,--gc-sections",), ("-Wl,-z,now", "-Wl,-O1")],
    ids=lambda flags: " ".join(flags) or "pie",
)
def test_a_guard_takes_the_rewrite_on_this_machine_and_the_baseline_at_level_0(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    guarded(tmp_path)
    (tmp_path / "poke.c").write_text(POKE)
    link(tmp_path, "exe", *flags, "which.s", "poke.c")
    assert run(tmp_path, "exe") == "107 8 0"


def test_the_level_found_is_one_that_the_kernel_agrees_with(tmp_path: Path) -> None:
    (tmp_path / "level.s").write_text(constructor())
    declared = f'extern unsigned char {LEVEL_SYMBOL} __attribute__((visibility("hidden")));'
    (tmp_path / "main.c").write_text(f"{declared} int main(void){{return {LEVEL_SYMBOL};}}")
    link(tmp_path, "exe", "level.s", "main.c", "-z", "noexecstack")
    level = int(run(tmp_path, "exe"))
    known = Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split()
    want = 2 if "sse4_2" in known else 0
    for number, flags in ((3, "avx2 fma bmi2 aes pclmulqdq"), (4, "avx512bw avx512vl avx512dq"),
                          (5, "avx512_vbmi2 gfni vaes sha_ni"), (6, "avx_vnni avx512_fp16")):  # fmt: skip
        if want == max(n for n in (0, 2, 3, 4, 5) if n < number) and set(flags.split()) <= set(known):
            want = number
    assert level == want


def test_a_level_that_no_machine_has_is_never_taken(tmp_path: Path) -> None:
    guarded(tmp_path)
    text = (tmp_path / "which.s").read_text().replace(f"cmpb\t$2, {LEVEL_SYMBOL}", f"cmpb\t$99, {LEVEL_SYMBOL}")
    (tmp_path / "which.s").write_text(text)
    (tmp_path / "main.c").write_text(MAIN)
    link(tmp_path, "exe", "which.s", "main.c")
    assert run(tmp_path, "exe") == "8 0"


def test_a_library_and_a_program_have_a_level_each(tmp_path: Path) -> None:
    guarded(tmp_path, 2, "-fPIC", name="lib")
    link(tmp_path, "libwhich.so", "-shared", "lib.s")
    exports = subprocess.run(["nm", "-D", tmp_path / "libwhich.so"], capture_output=True, text=True).stdout
    assert "gccllm" not in exports
    text = splice(module("int own(int x){return x+2;}", "-O2"), {"own": Rewrite(PLUS_100, 2)}, TOOLS)
    (tmp_path / "own.s").write_text(text)
    (tmp_path / "poke.c").write_text(
        POKE.replace("int which(int);", "int which(int); int own(int);").replace(
            "return 0;", 'printf("%d ", own(7)); return 0;'
        )
    )
    link(tmp_path, "exe", "own.s", "poke.c", "-L.", "-lwhich", "-Wl,-rpath,$ORIGIN")
    assert run(tmp_path, "exe") == "107 107 9 0"


def test_units_share_one_constructor_also_after_a_partial_link(tmp_path: Path) -> None:
    guarded(tmp_path, 2)
    text = splice(
        module("int own(int x){return x+2;}", "-O2", "-ffunction-sections"), {"own": Rewrite(PLUS_100, 3)}, TOOLS
    )
    (tmp_path / "own.s").write_text(text)
    (tmp_path / "main.c").write_text(MAIN)
    for name in ("which", "own"):
        link(tmp_path, f"{name}.o", "-c", f"{name}.s")
    link(tmp_path, "both.o", "-r", "-nostdlib", "which.o", "own.o")
    for inputs in (("which.o", "own.o"), ("both.o",)):
        link(tmp_path, "exe", *inputs, "main.c")
        names = subprocess.run(["nm", tmp_path / "exe"], capture_output=True, text=True).stdout
        assert names.count("gccllm.isa.init") == 1
        assert run(tmp_path, "exe") == "107 0"


def test_without_start_files_the_baseline_is_taken(tmp_path: Path) -> None:
    guarded(tmp_path)
    (tmp_path / "start.c").write_text(
        "int which(int); void _start(void){int code=which(7);"
        '__asm__ volatile("syscall"::"a"(60L),"D"((long)code)); __builtin_unreachable();}'
    )
    link(tmp_path, "exe", "-nostdlib", "-static", "which.s", "start.c")
    assert run(tmp_path, "exe") == "8"
