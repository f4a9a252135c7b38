"""Objects, programs and libraries as `base.elf` reads them, against binutils."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gccllm.base.elf import Elf, ELFError
from tests.kit.replay import TOOLS

SOURCE = """
extern int far(int); extern int weak(void) __attribute__((weak)); extern __thread int there; static int zero[9];
__thread int here = 3; static const int table[] = {1, 2}; int shared = 7; int *points = &shared;
int f(int i) { return far(i) + (weak ? weak() : 0) + there + here + table[i & 1] + zero[i & 7]++; }
int main(void) { return shared; }
"""


def built(where: Path, *flags: str, source: str = SOURCE) -> Path:
    out = where / "built"
    subprocess.run([TOOLS.gcc, "-O2", "-xc", "-", "-o", out, *flags], input=source, text=True, check=True)
    return out


def shown(path: Path, *flags: str) -> list[list[str]]:
    done = subprocess.run(["readelf", "-W", *flags, path], capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


def test_symbols_are_those_that_readelf_shows(tmp_path: Path) -> None:
    path = built(tmp_path, "-c", "-fPIC", "-g")
    rows = [row for row in shown(path, "-s") if len(row) == 8 and row[3] in ("FUNC", "OBJECT", "TLS", "NOTYPE")]
    wanted = {(row[7], int(row[1], 16), int(row[2])) for row in rows}
    named = {(one.name, one.value, one.size) for one in Elf.of(path).symbols if one.name}
    assert {"f", "far", "there", "here", "zero"} <= {name for name, _, _ in wanted}
    assert wanted <= named


def test_relocations_are_those_that_readelf_shows_under_the_section_that_they_change(tmp_path: Path) -> None:
    path = built(tmp_path, "-c", "-fPIC", "-g")
    elf = Elf.of(path)
    ours = {
        (section.name, one.offset, one.kind, one.name) for section in elf.sections for one in elf.relocations(section)
    }
    theirs, section = set(), ""
    for row in shown(path, "-r"):
        if row[:2] == ["Relocation", "section"]:
            section = row[2].strip("'").removeprefix(".rela")
        elif len(row) >= 5 and row[2].startswith("R_X86_64"):
            theirs.add((section, int(row[0], 16), int(row[1], 16) & 0xFFFFFFFF, row[4]))
    assert ours == theirs
    assert {".text", ".debug_info"} <= {section for section, *_ in ours}


def test_segments_and_functions_of_a_stripped_program(tmp_path: Path) -> None:
    path = built(tmp_path, "-s", "-rdynamic", source="int shown(void) { return 1; } int main(void) { return 0; }")
    elf = Elf.of(path)
    assert "shown" in {one.name for one in elf.symbols}
    wanted = {(int(row[2], 16), int(row[4], 16), int(row[5], 16)) for row in shown(path, "-l") if row[:1] == ["LOAD"]}
    assert {(s.address, s.file_size, s.size) for s in elf.segments if s.kind == "PT_LOAD"} == wanted


@pytest.mark.parametrize("content", [b"", b"no ELF file, but long enough for the header of one" * 4])
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(ELFError):
        Elf.of(content)


def test_objects_of_32_bits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.o"
    subprocess.run([TOOLS.assembler, "--32", "-o", path], input="f: .long 1\n", text=True, check=True)
    with pytest.raises(ELFError):
        _ = Elf.of(path).symbols
