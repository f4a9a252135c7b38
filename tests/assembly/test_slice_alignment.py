"""Data of a slice lies exactly as its unit asks for; slices of earlier versions are told apart."""

import subprocess
from pathlib import Path

import pytest

from gccllm.assembly import Module, is_loosely_aligned, slice_text

SOURCE = """
static unsigned table[256] = {1, 2, 3};
void bump(const unsigned char *p, long n) { for (long i = 0; i < n; i++) table[p[i]] += i; }
"""
EARLIER = "\t.data\n\t.balign\t32\n\t.globl\ttable\n\t.hidden\ttable\n\t.type\ttable, @object\ntable:\n\t.zero\t1024\n"


def test_no_slice_of_ours_is_loose(tmp_path: Path) -> None:
    source = tmp_path / "unit.c"
    source.write_text(SOURCE)
    compiled = subprocess.run(["gcc", "-O3", "-S", "-o", "-", str(source)], capture_output=True, text=True, check=True)
    made = slice_text(Module.parse(compiled.stdout), "bump")
    assert "table, @object" in made
    assert not is_loosely_aligned(made)


@pytest.mark.parametrize(("align", "loose"), [(1, True), (32, True), (64, False)])
def test_what_an_earlier_version_wrote_is_loose(align: int, loose: bool) -> None:
    assert is_loosely_aligned(EARLIER.replace("32", str(align))) is loose


def test_merged_constants_are_left_as_they_are() -> None:
    head = '\t.section\t.rodata.cst16,"aM",@progbits,16'
    assert not is_loosely_aligned(EARLIER.replace("\t.data", head))
