"""A slice stands alone: it assembles, links, and computes what the unit computes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gccllm.assembly import BodyError, Module, layout_text, reachable, slice_text
from tests.kit.linked import link, run
from tests.kit.sources import C_EXAMPLES, CPP_EXAMPLES
from tests.kit.units import TOOLS, module

SOURCE = """
#include <string.h>
static const char *const names[] = {"nil", "one", "two"};
static int table[4] = {5, 6, 7, 8}; static int zeroed[4]; int apart = 77;
static __attribute__((noinline)) int inner(int x) { zeroed[x & 3]++; return table[x & 3] + zeroed[x & 3]; }
static __attribute__((noinline)) int other(int x) { return inner(x) * 2; }
static int (*const through)(int) = other;
int wanted(int x) {
  switch (x) { case 0: return inner(1); case 1: return strlen(names[1]); case 2: return other(4); case 3: return 9;
               case 4: return ((int(*volatile)(int))through)(2); case 5: return names[2][0]; }
  return -x;
}
int unwanted(int x) { return apart + x; }
"""
MAIN = '#include <stdio.h>\nint wanted(int); int main(void){for(int i=0;i<8;i++)printf("%d,",wanted(i));return 0;}'


@pytest.mark.parametrize(
    "flags", [("-fPIC",), ("-fno-pic", "-no-pie"), ("-g", "-ffunction-sections", "-fdata-sections")]
)
def test_a_slice_holds_what_the_function_reaches_and_computes_the_same(tmp_path: Path, flags: tuple[str, ...]) -> None:
    unit = module(SOURCE, "-O2", *(flag for flag in flags if flag != "-no-pie"))
    text = slice_text(unit, "wanted")
    assert "unwanted" not in text
    assert "apart" not in text
    assert ".cfi" not in text
    assert ".debug" not in text
    (tmp_path / "slice.s").write_text(text)
    (tmp_path / "unit.s").write_text(unit.text())
    (tmp_path / "main.c").write_text(MAIN)
    pie = [flag for flag in flags if flag == "-no-pie"]
    for name in ("slice", "unit"):
        link(tmp_path, name, *pie, f"{name}.s", "main.c")
    assert run(tmp_path, "slice") == run(tmp_path, "unit")
    shown = subprocess.run(["nm", tmp_path / "slice"], capture_output=True, text=True).stdout.split()
    assert {"table", "zeroed", "inner", "wanted"} <= set(shown)


def test_what_is_reached_goes_through_code_and_data() -> None:
    functions, objects = reachable(module(SOURCE, "-O2"), "wanted")
    assert functions[0] == "wanted"
    assert {"inner", "other"} <= set(functions)
    assert {"table", "zeroed"} <= set(objects)
    assert "apart" not in objects


def test_candidates_are_appended_beside_the_baseline(tmp_path: Path) -> None:
    unit = module(SOURCE, "-O2")
    body = unit.functions["wanted"].body.renamed("c1")
    extra = f"\t.globl candidate\n\t.type candidate, @function\ncandidate:\n{layout_text(body)}"
    (tmp_path / "slice.s").write_text(slice_text(unit, "wanted") + f"\t.text\n{extra}")
    (tmp_path / "main.c").write_text(
        "int wanted(int), candidate(int); int main(void){return wanted(2)==candidate(2)-2 && candidate(9)==-9;}"
    )
    link(tmp_path, "exe", "slice.s", "main.c")
    assert run(tmp_path, "exe") == "1"


def test_slices_of_every_construction_assemble(tmp_path: Path) -> None:
    count = 0
    for source, language in [(c, "c") for c in C_EXAMPLES[:7]] + [(c, "c++") for c in CPP_EXAMPLES]:
        for flags in (("-O3", "-fPIC", "-fcf-protection"), ("-O2", "-g", "-fno-pic", "-ffunction-sections")):
            unit = module(source, *flags, language=language)
            for name in unit.functions:
                ran = TOOLS.assemble(slice_text(unit, name), tmp_path / "x.o")
                assert ran.ok, (name, flags, ran.err)
                count += 1
    assert count > 80


def test_functions_that_are_not_gccs_are_refused() -> None:
    unit = module(C_EXAMPLES[8], "-O2")
    for name in ("call_raw8", "nobody"):
        with pytest.raises(BodyError):
            slice_text(unit, name)


def test_a_slice_is_a_unit_again() -> None:
    unit = module(SOURCE, "-O3", "-g")
    text = slice_text(unit, "wanted")
    again = Module.parse(text)
    assert again.functions["wanted"].body == unit.functions["wanted"].body
    assert slice_text(again, "wanted") == slice_text(Module.parse(text), "wanted")
