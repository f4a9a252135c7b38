"""Data of a slice lies exactly as its unit asks for."""

import subprocess
from pathlib import Path

from gccllm.assembly import Module, slice_text

SOURCE = """
static unsigned table[256] = {1, 2, 3};
void bump(const unsigned char *p, long n) { for (long i = 0; i < n; i++) table[p[i]] += i; }
"""


def test_data_lies_no_better_than_the_unit_asks_for(tmp_path: Path) -> None:
    source = tmp_path / "unit.c"
    source.write_text(SOURCE)
    compiled = subprocess.run(["gcc", "-O3", "-S", "-o", "-", str(source)], capture_output=True, text=True, check=True)
    made = slice_text(Module.parse(compiled.stdout), "bump")
    assert "\t.balign\t64\n\t.zero\t32\n\t.globl\ttable\n" in made
