"""A function of another unit as an object to link into an image: its slice, of which only its name is seen.

Covered: functions that need nothing but their own unit's code and constants, further functions of that kind, and
library functions that run for real anyway. Not covered, and IMPURE_CALLEE: those with writable data, whose content no
recording of their caller holds, and those that call what the store does not have.
"""

from __future__ import annotations

from pathlib import Path

from gccllm.base.core import Decline, FarCode
from gccllm.base.elf import STT_FILE, STT_SECTION, Elf
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain, run
from gccllm.sandbox import layout


def real_name(name: str) -> str:
    """The name of the function itself in an image; a stub has its own."""
    return f"gccllm.real.{name}"


def far_objects(workdir: Path, name: str, code: FarCode, tools: Toolchain) -> tuple[list[Path], set[str]]:
    """The objects of a function and of those it calls in further units, each made once in a folder, and the library
    functions that they need. Raises Decline(IMPURE_CALLEE)."""
    texts = {name: code.text, **dict(code.more)}
    paths, needs = [], set()
    for one, text in texts.items():
        path, wanted = _object(workdir, one, text, tools)
        paths.append(path)
        needs |= wanted
    needs -= {real_name(one) for one in texts}
    strange = sorted(needs - set(layout.IMPORTS))
    if strange:
        raise Decline(Reason.IMPURE_CALLEE, f"{name} needs {strange[0].removeprefix(real_name(''))}")
    return paths, needs


def _object(workdir: Path, name: str, text: str, tools: Toolchain) -> tuple[Path, set[str]]:
    """The object and the symbols that it needs; those of functions that are no library's by their real names."""
    path = workdir / f"{name}.far.o"
    if not path.exists():
        whole = workdir / f"{name}.far.whole.o"
        done = tools.assemble(text, whole)
        if not done.ok:
            raise Decline(Reason.IMPURE_CALLEE, f"{name}: its text does not assemble")
        names = workdir / f"{name}.far.names"
        defined, undefined = _symbols(Elf.of(whole))
        renamed = {one: real_name(one) if one == name else f"{real_name(name)}.{one}" for one in defined}
        # The unit under test may have something of the same name.
        renamed |= {one: real_name(one) for one in undefined if one not in layout.IMPORTS}
        names.write_text("".join(f"{one} {new}\n" for one, new in renamed.items()))
        done = run(["objcopy", f"--keep-global-symbol={real_name(name)}", f"--redefine-syms={names}",
                    str(whole), str(path)])  # fmt: skip
        if not done.ok:
            raise Decline(Reason.IMPURE_CALLEE, f"{name}: {done.err.strip()[:100]}")
    elf = Elf.of(path)
    if any(section.is_writable_data for section in elf.sections):
        raise Decline(Reason.IMPURE_CALLEE, f"{name} has data of its own")
    return path, _symbols(elf)[1]


def _symbols(elf: Elf) -> tuple[set[str], set[str]]:
    """(defined, undefined) names."""
    named = [one for one in elf.symbols if one.name and one.kind not in (STT_SECTION, STT_FILE)]
    defined = {one.name for one in named if not one.is_undefined}
    return defined, {one.name for one in named} - defined
