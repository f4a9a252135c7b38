"""A function of another unit as an object to link into an image: its slice, of which only its name is seen.

Covered: functions that need nothing but their own unit's code and constants, and library functions that run for real
anyway. Not covered, and IMPURE_CALLEE: those with writable data, whose content no recording of their caller holds, and
those that call further functions of other units.
"""

from __future__ import annotations

from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from gccllm.core import FarCode, Quit
from gccllm.reasons import Reason
from gccllm.toolchain import Toolchain, run
from gccllm.verify import layout


def real_name(name: str) -> str:
    """The name of the function itself in an image; a stub has its own."""
    return f"gccllm.real.{name}"


def far_object(workdir: Path, name: str, code: FarCode, tools: Toolchain) -> tuple[Path, set[str]]:
    """The object, made once in a folder, and the library functions that it needs. Raises Quit(IMPURE_CALLEE)."""
    path = workdir / f"{name}.far.o"
    if not path.exists():
        whole = workdir / f"{name}.far.whole.o"
        done = tools.assemble(code.text, whole)
        if not done.ok:
            raise Quit(Reason.IMPURE_CALLEE, f"{name}: its text does not assemble")
        names = workdir / f"{name}.far.names"
        names.write_text("".join(f"{one} {_inner(name, one)}\n" for one in _defined(whole)))
        done = run(["objcopy", f"--keep-global-symbol={real_name(name)}", f"--redefine-syms={names}",
                    str(whole), str(path)])  # fmt: skip
        if not done.ok:
            raise Quit(Reason.IMPURE_CALLEE, f"{name}: {done.err.strip()[:100]}")
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        wanted = SH_FLAGS.SHF_ALLOC | SH_FLAGS.SHF_WRITE
        if any(s["sh_flags"] & wanted == wanted and s["sh_size"] for s in elf.iter_sections()):
            raise Quit(Reason.IMPURE_CALLEE, f"{name} has data of its own")
        table = elf.get_section_by_name(".symtab")
        needs = {s.name for s in table.iter_symbols() if s["st_shndx"] == "SHN_UNDEF" and s.name}
    if strange := sorted(needs - set(layout.IMPORTS)):
        raise Quit(Reason.IMPURE_CALLEE, f"{name} needs {strange[0]}")
    return path, needs


def _defined(path: Path) -> list[str]:
    with path.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        kinds = ("STT_SECTION", "STT_FILE")
        return sorted({
            s.name for s in table.iter_symbols()
            if s.name and s["st_shndx"] != "SHN_UNDEF" and s["st_info"]["type"] not in kinds
        })  # fmt: skip


def _inner(name: str, one: str) -> str:
    """The caller's unit may have something of the same name."""
    return real_name(name) if one == name else f"{real_name(name)}.{one}"
