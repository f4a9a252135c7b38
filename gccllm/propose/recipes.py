"""Compilers' flags that beat `gcc -O3` often enough to be tried: one row a recipe.

Every row keeps floating-point results equal to the last bit: no -ffast-math or part of it, and no contraction into
fused multiply-adds that the baseline does not have.

Chosen from 160 combinations of flags (gcc 12.2, clang 19.1) on the 77 kernels of the benchmark, on one CPU with
AVX-512, by adding the row that raises the geometric mean over `gcc -O3` most until nothing is left to gain. Best row
per kernel: all rows 1.73; without clang 1.54; only what plain x86-64 permits 1.25, without clang 1.16. Leaving one row
out costs 3% (clang-wide) to 0.1%. gcc-narrow and gcc-wide-twice stay as wide forms with little unrolling: better on
short inputs, and with fewer edges that the tests have to take. Tried and not worth a row: -O2, -O1, -Os,
-fvect-cost-model=*, -fno-split-paths, -fno-tree-pre, options of scheduling and register allocation, -mtune of other
cores, -fno-trapping-math, graphite.
"""

from __future__ import annotations

from typing import NamedTuple

_V2 = ("-msse3", "-mssse3", "-msse4.1", "-msse4.2", "-mpopcnt", "-mcx16")
_V3 = (*_V2, "-mavx", "-mavx2", "-mbmi", "-mbmi2", "-mf16c", "-mfma", "-mlzcnt", "-mmovbe", "-maes", "-mpclmul")
_V4 = (*_V3, "-mavx512f", "-mavx512bw", "-mavx512cd", "-mavx512dq", "-mavx512vl")
_V5 = (*_V4, "-mavx512vbmi", "-mavx512vbmi2", "-mavx512ifma", "-mavx512vnni", "-mavx512bitalg", "-mavx512vpopcntdq",
       "-mgfni", "-mvaes", "-mvpclmulqdq", "-msha", "-madx")  # fmt: skip
# Level 6 adds types of numbers that no recompiled C uses.
LEVEL_FLAGS: dict[int, tuple[str, ...]] = {2: _V2, 3: _V3, 4: _V4, 5: _V5, 6: _V5}
"""ISA level of `gccllm.assembly.isa` -> flags that let gcc and clang use it, whatever CPU they run on.

Single features and no -march: nothing that the user's own -march permits is taken away, and old compilers know them.
"""

SAME_SYMBOLS = ("-fno-ipa-cp", "-fno-ipa-sra", "-fno-partial-inlining", "-fkeep-static-functions", "-fno-ipa-ra",
                "-fno-ipa-icf", "-fno-reorder-blocks-and-partition")  # fmt: skip
"""gcc: every function keeps its own name, the ABI's calling convention and one piece."""

BASELINE_LIKE = ("-fno-ipa-ra", "-fno-reorder-blocks-and-partition")
"""gcc: clones and their names as in the baseline; but a callee's habits are not relied on, since it is the baseline's
callee that will be called."""


class Recipe(NamedTuple):
    name: str
    """What reports say; stable."""
    compiler: str
    """`gcc`, `clang`, or `no clang`: gcc, where no clang is installed to do better."""
    isa: str
    """`own`: the unit's -march; `v3`: level 3; `best`: the highest level allowed."""
    flags: str


_SCALAR = "-fno-tree-vectorize -fno-tree-slp-vectorize"
_NO_IF = "-fno-if-conversion -fno-if-conversion2 -fno-tree-loop-if-convert"
_TWICE = "--param=max-unroll-times=2"
_NO_GUESS = "-fno-guess-branch-probability"
_SPLIT_SUMS = "-fvariable-expansion-in-unroller --param=max-variable-expansions-in-unroller=4"
WIDE = "-mtune=icelake-server -mprefer-vector-width=512"
_FAR = "--param=max-unroll-times=16 --param=max-unrolled-insns=600 --param=max-average-unrolled-insns=300"

RECIPES: tuple[Recipe, ...] = (
    Recipe("clang-wide", "clang", "best", "-O3 -mprefer-vector-width=512"),
    Recipe("gcc-wide", "gcc", "best", f"-O3 {WIDE} -funroll-all-loops -fno-tree-slp-vectorize {_SPLIT_SUMS}"),
    Recipe("clang-unrolled", "clang", "best", "-O3 -mllvm -unroll-runtime -mllvm -unroll-count=4"),
    Recipe("gcc-branchy", "gcc", "best", f"-O2 {_NO_IF} -funroll-all-loops"),
    Recipe("clang-small-core", "clang", "own", "-O3 -mtune=goldmont-plus"),
    Recipe("gcc-scalar-unrolled", "gcc", "own", f"-O3 {_SCALAR} -mbranch-cost=0 {_NO_GUESS} -funroll-all-loops"),
    Recipe("gcc-wide-far", "gcc", "best", f"-O3 {WIDE} -funroll-loops -fno-tree-slp-vectorize {_FAR} {_SPLIT_SUMS}"),
    Recipe("gcc-wide-twice", "gcc", "best", f"-O3 {WIDE} -funroll-loops -fno-tree-slp-vectorize {_TWICE}"),
    Recipe("gcc-v3-unrolled", "gcc", "v3", "-O3 -funroll-all-loops -fno-tree-slp-vectorize"),
    Recipe("gcc-narrow", "gcc", "best", "-O3 -mtune=icelake-server"),
    Recipe("gcc-no-guess", "gcc", "own", f"-O3 {_NO_GUESS}"),
    Recipe("gcc-no-ivopts", "no clang", "own", "-O3 -fno-ivopts"),
    Recipe("gcc-wide-slp", "no clang", "best", f"-O3 {WIDE} -funroll-loops"),
    Recipe("gcc-small-core", "no clang", "own", "-O3 -mtune=goldmont-plus -funroll-all-loops -fno-tree-slp-vectorize"),
)


HYBRIDS = frozenset({"clang-wide", "gcc-wide"})
"""Recipes that are also tried for long inputs only (`hybrid`): alone they are refused for losses on short ones."""


def level_flags(recipe: Recipe, permitted: int, allowed: int) -> tuple[str, ...] | None:
    """Instruction-set flags of a recipe, or None when it makes no sense at these levels.

    `permitted` is what the unit's -march gives, `allowed` the highest level a candidate may use.
    """
    if recipe.isa == "own":
        return ()
    if recipe.isa == "v3":
        return LEVEL_FLAGS[3] if permitted < 3 <= allowed else None
    best = max((level for level in LEVEL_FLAGS if level <= allowed), default=0)
    return LEVEL_FLAGS[best] if best > permitted else ()


# --- clang ----------------------------------------------------------------------------------------

CLANG_FIXED = ("-ffp-contract=off", "-fno-stack-protector", "-fno-addrsig", "-fno-asynchronous-unwind-tables",
               "-Qunused-arguments", "-fno-verbose-asm")  # fmt: skip
