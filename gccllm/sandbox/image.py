"""A linked image of a function, its callees and any number of candidates, at the addresses of `layout`.

`build_image` assembles a self-contained text, supplies what the text leaves undefined, and links. The slice comes
first in the text, candidates after it, so the unit's own functions, constants and data keep their addresses whatever
candidates lie beside them; hence digests of memory that holds such addresses stay comparable between images.

Undefined symbols:

    a pure library function   runs for real, from the replayer's own copy; afterwards the stub overwrites what a call
                              may clobber
    a function with a spec    a stub logs the call, changes memory as the test says (`native/changes.h`) and gives an
                              answer made from its arguments; not where it returns a pointer
    a function with its text  a stub logs the call and changes memory too, the function itself runs (`far_code`)
    a call that does not      a trap: reaching it is a fault
    return
    data with a spec          so many bytes of zero; a recorded test says what they are (`harvest.far`)
    weak                      0; the image then lies low
    __tls_get_addr            a trap: a static link leaves no call of it that can be reached
    anything else             Decline(CALLEE_UNKNOWN) for calls, Decline(FAR_DATA) for data

Thread-local data lies among the writable data, and is reset, digested and traced with it: one thread runs here. The
static link makes every access to it one by an offset from the thread pointer, which is known: the end of that data,
where a word holds its own address, as the ABI has it. The replayer runs such an image with FS_BASE there. An image
without thread-local data is linked as if there were no such thing.

Not covered: constructors, ifuncs, section symbols of other units, writable data over `layout.MAX_IMAGE_DATA`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gccllm.base.core import CalleeSpec as CalleeSpec
from gccllm.base.core import Decline, External, FarCode, FarData, Slot
from gccllm.base.elf import SHN_ABS, STB_GLOBAL, STB_WEAK, STT_TLS, Elf
from gccllm.base.reasons import Reason
from gccllm.base.runtime import GET_ADDRESS, NORETURN
from gccllm.base.toolchain import Toolchain, run
from gccllm.sandbox import layout
from gccllm.sandbox.far_code import far_objects, real_name

_STUB_BYTES = 64
_FAR_ALIGN = 64
_PLT32 = 4  # types of relocations, as in R_X86_64_PLT32
_SHORT, _NEAR = {10, 11}, {2, _PLT32}  # 32 and 32S; PC32 and PLT32
_KNOWN = (*layout.IMPORTS, *(layout.TRACED_PREFIX + name for name in layout.TRACED_IMPORTS))


class AssembleError(Exception):
    """The assembler or linker refuses the text; `detail` is its message."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


def packed(spec: CalleeSpec, target: int = 0) -> bytes:
    """The record that tells the replayer what a logged callee takes and gives. Raises Decline(IMPURE_CALLEE).

    `target`: address of the function itself, which then gives the answer; 0 for an answer made from the arguments.
    """
    sizes = dict.fromkeys((Slot.RAX, Slot.RDX, Slot.XMM0, Slot.XMM1), 0)
    for result in spec.returns:
        if result.slot not in sizes or result.size not in (1, 2, 4, 8):
            raise Decline(Reason.IMPURE_CALLEE, f"result of {result.size} bytes in {result.slot}")
        sizes[result.slot] = result.size
    if len(spec.ints) > 6 or len(spec.vectors) > 8 or len(spec.stack) > 16:
        raise Decline(Reason.IMPURE_CALLEE, "too many arguments")
    return layout.CALLEE.pack(
        len(spec.stack), *_padded(spec.ints, 6), *_padded(spec.vectors, 8), *_padded(spec.stack, 16),
        *sizes.values(), int(spec.is_float), 0, target,
    )  # fmt: skip


def _padded(values: tuple[int, ...], n: int) -> tuple[int, ...]:
    return values + (0,) * (n - len(values))


@dataclass(frozen=True)
class Image:
    """A linked image: `symbols` are addresses of everything named in it; `writable` is the range of its data."""

    path: Path
    symbols: Mapping[str, int]
    writable: tuple[int, int]
    callees: tuple[bytes, ...] = ()
    """Of the functions of other units that are called, under which memory may change."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    base: int = layout.IMAGE_BASE
    """What the parts' addresses count from: `layout.IMAGE_LOW` for code that is not position independent."""


def build_image(
    workdir: Path,
    text: str,
    tools: Toolchain,
    callees: Mapping[str, External] | None = None,
    *,
    plain: bool = False,
    name: str = "image",
    base: int | None = None,
) -> Image:
    """Assemble and link `text`; every symbol in it is an entry.

    `plain`: stubs neither overwrite clobbered registers nor digest memory, for timing.
    `base`: where it is to lie; None: in the canonical place, which is low where the text has 32-bit addresses.
    Raises AssembleError when the assembler refuses the text, Decline for what cannot be stubbed.
    """
    callees = callees or {}
    workdir.mkdir(parents=True, exist_ok=True)
    unit, stubs, out = (workdir / f"{name}{end}" for end in (".o", ".stubs.o", ".elf"))
    done = tools.assemble(text, unit)
    if not done.ok:
        raise AssembleError(_first_lines(done.err))
    elf = Elf.of(unit)
    called, data, thread = _undefined(elf)
    has_thread = bool(thread) or any(section.is_thread_data for section in elf.sections)
    far: list[Path] = []
    needs: set[str] = set()
    for one in sorted(called | data):
        if isinstance(code := callees.get(one), FarCode):
            objects, wanted = far_objects(workdir, one, code, tools)
            far += [path for path in objects if path not in far]
            needs |= wanted
    numbers: dict[str, CalleeSpec] = {}
    stub_text = _Stubs(called | data | needs, called, thread, callees, plain, has_thread).text(numbers)
    done = tools.assemble(stub_text, stubs)
    if not done.ok:
        raise AssembleError(_first_lines(done.err))
    if base is None:
        base = layout.IMAGE_LOW if _has_short_addresses(elf) else layout.IMAGE_BASE
    script = workdir / f"{'thread' if has_thread else 'image'}-{base:x}.ld"
    if not script.exists():
        script.write_text(_script(has_thread, base))
    done = run([
        tools.linker, "-static", "-nostdlib", "--no-relax", "-z", "noexecstack", "-z", "norelro", "-e", "0",
        "--no-warn-rwx-segments", "--build-id=none", "-T", str(script), "-o", str(out),
        str(unit), str(stubs), *map(str, far),
    ], is_limited=True)  # fmt: skip
    if not done.ok:
        raise AssembleError(_first_lines(done.err))
    symbols, sizes, writable = _read(out, base)
    if writable[1] - writable[0] > layout.MAX_IMAGE_DATA:
        raise Decline(Reason.TOO_LARGE, f"{writable[1] - writable[0]} bytes of writable data")
    return Image(
        out,
        symbols,
        writable,
        tuple(packed(spec, symbols.get(real_name(one), 0)) for one, spec in numbers.items()),
        sizes,
        base,
    )


def _first_lines(text: str) -> str:
    return "\n".join(line for line in text.splitlines()[:4] if line)


def _undefined(unit: Elf) -> tuple[set[str], set[str], set[str]]:
    """Names the object leaves undefined and not weak: those only ever called or jumped to, the rest, and of the rest
    the thread-local ones."""
    wanted = {
        symbol
        for symbol in unit.symbols
        if symbol.is_undefined and symbol.bind == STB_GLOBAL and symbol.name not in ("", "_GLOBAL_OFFSET_TABLE_")
    }
    thread = {symbol.name for symbol in wanted if symbol.kind == STT_TLS}
    data = thread | {
        one.name
        for section in unit.sections
        if section.is_loaded
        for one in unit.relocations(section)
        if one.kind != _PLT32 and one.symbol in wanted
    }
    return {symbol.name for symbol in wanted} - data, data, thread


def _has_short_addresses(unit: Elf) -> bool:
    """Whether code is for programs whose parts all lie low: some of it holds an address in 32 bits, or reaches a weak
    name that may be 0 by a distance in 32 bits."""
    return any(
        one.kind in _SHORT or (one.kind in _NEAR and one.symbol.is_undefined and one.symbol.bind == STB_WEAK)
        for section in unit.sections
        if section.is_loaded and section.name != ".eh_frame"
        for one in unit.relocations(section)
    )


def _is_library(name: str, spec: CalleeSpec | None) -> bool:
    """Is it the C library's function, as far as types tell? A project may have its own of that name."""
    traced = name.removeprefix(layout.TRACED_PREFIX)
    if traced != name:
        return traced in layout.TRACED_IMPORTS
    if name not in layout.IMPORTS or spec is None:
        return name in layout.IMPORTS
    if name in layout.MATH_FUNCTIONS:
        return bool(spec.vectors)
    return not spec.vectors and (bool(spec.ints) or name.startswith("__ctype"))


class _Stubs:
    """Assembly of the stubs."""

    def __init__(
        self, undefined: Iterable[str], called: set[str], thread: set[str], callees: Mapping[str, External],
        plain: bool, has_thread: bool,
    ) -> None:  # fmt: skip
        self.called = called
        self.thread = thread
        self.callees = callees
        self.plain = plain
        self.has_thread = has_thread
        self.far = {name: spec for name, spec in callees.items() if isinstance(spec, FarData) and name in undefined}
        self.names = set(undefined) - self.far.keys()
        self.imports: list[str] = []

    def slot(self, name: str) -> str:
        if name not in self.imports:
            self.imports.append(name)
        return f"{layout.IMAGE_IMPORTS + 8 * self.imports.index(name):#x}"

    def text(self, numbers: dict[str, CalleeSpec]) -> str:
        """`numbers` receives the logged callees in the order of their numbers."""
        # A stub's address must not depend on which others there are: it may be stored in memory.
        place = {name: _STUB_BYTES * i for i, name in enumerate(_KNOWN)}
        lines = ['\t.section .gccllm.stubs,"ax",@progbits']
        for name in sorted(self.names, key=lambda n: (place.get(n, 1 << 30), n)):
            place.setdefault(name, _STUB_BYTES * len(place))
            lines += [f"\t.org {place[name]}", f"\t.globl {name}", f"\t.type {name}, @function", f"{name}:"]
            lines += self.stub(name, numbers)
        for name in sorted(self.far):  # behind the unit's own data, which keeps its addresses
            lines += self.data(name)
        lines += ['\t.section .gccllm.names,"a",@progbits']
        lines += [f'.Lname{i}:\t.string "{name}"' for i, name in enumerate(self.imports)]
        lines += ['\t.section .gccllm.imports,"aw",@progbits']
        lines += [f"\t.quad .Lname{i}" for i in range(len(self.imports))]
        lines += ["\t.quad 0", '\t.section .note.GNU-stack,"",@progbits']
        return "\n".join(lines) + "\n"

    def stub(self, name: str, numbers: dict[str, CalleeSpec]) -> list[str]:
        spec = self.callees.get(name)
        assert not isinstance(spec, FarData)
        if name in NORETURN or name == GET_ADDRESS:
            return ["\tud2"]
        if not isinstance(spec, FarCode) and _is_library(name, spec):
            return self.library(name)
        if spec is None:
            raise Decline(Reason.CALLEE_UNKNOWN if name in self.called else Reason.FAR_DATA, name)
        if isinstance(spec, FarCode):
            if self.plain:
                return [f"\tjmp {real_name(name)}"]
            spec = spec.spec
        elif spec.returns_pointer:
            raise Decline(Reason.IMPURE_CALLEE, name)
        if len(numbers) == layout.MAX_CALLEES:
            raise Decline(Reason.TOO_LARGE, "too many functions of other units are called")
        number = len(numbers)
        numbers[name] = spec
        return [f"\tpushq ${number}", f"\tjmp *{self.slot(layout.HOOKS[0])}"]

    def library(self, name: str) -> list[str]:
        """The replayer's own copy has its own thread-local data: errno, the locale."""
        call = [f"\tcall *{self.slot(name)}"]
        if self.has_thread:
            call = [*_thread_pointer(layout.SLOT_OWN_THREAD), *call, *_thread_pointer(layout.SLOT_IMAGE_THREAD)]
        if self.plain:
            # None of these functions has arguments on the stack, which the return address would displace.
            return ["\tsubq $8, %rsp", *call, "\taddq $8, %rsp", "\tret"] if self.has_thread else [
                f"\tjmp *{self.slot(name)}"]  # fmt: skip
        # A misaligned stack would pass here and fail in another C library: trap.
        return [
            f"\tpopq {layout.SLOT_RETURN:#x}", "\ttestb $15, %spl", "\tje 1f", "\tud2", "1:", *call,
            f"\tjmp *{self.slot(layout.HOOKS[1])}",
        ]  # fmt: skip

    def data(self, name: str) -> list[str]:
        """16 bytes behind the alignment: an array of another unit has that of the ABI, no more."""
        section = '.tbss.gccllm_far,"awT",@nobits' if name in self.thread else '.data.gccllm_far,"aw",@progbits'
        size = self.far[name].size
        return [
            f"\t.section {section}", f"\t.balign {_FAR_ALIGN}", "\t.zero 16", f"\t.globl {name}",
            f"\t.type {name}, @object", f"\t.size {name}, {size}", f"{name}:", f"\t.zero {size}",
        ]  # fmt: skip


def _thread_pointer(slot: int) -> list[str]:
    """FS_BASE from a slot. What is called through a stub may find anything in r11, and leave anything there."""
    return [f"\tmovq {slot:#x}, %r11", "\twrfsbase %r11"]


def _read(path: Path, base: int) -> tuple[dict[str, int], dict[str, int], tuple[int, int]]:
    """Addresses and sizes of the named, and the range of writable data."""
    elf = Elf.of(path)
    thread = next((part.address for part in elf.segments if part.kind == "PT_TLS"), 0)
    named = [one for one in elf.symbols if one.name and not one.is_undefined and one.section != SHN_ABS]
    # Those of thread-local data count from its start.
    symbols = {one.name: one.value + (thread if one.kind == STT_TLS else 0) for one in named}
    start = base + layout.DATA_AT
    size = next((part.size for part in elf.segments if part.kind == "PT_LOAD" and part.address == start), 0)
    return symbols, {one.name: one.size for one in named}, (start, start + size)


# A byte of contents makes real memory of .tbss, which else has no place of its own. The thread pointer is in a block of
# its own, as contracts count (64 bytes): no access to thread-local data is one to it.
_THREAD = f"""\
  .tdata ALIGN({_FAR_ALIGN}) : {{ *(.tdata .tdata.* .gnu.linkonce.td.* .tbss .tbss.* .gnu.linkonce.tb.* .tcommon)
    BYTE(0) }} :data :thread
  .gccllm.thread ALIGN(ALIGNOF(.tdata)) : {{ gccllm.thread = .; QUAD(gccllm.thread) . += {_FAR_ALIGN - 8}; }} :data
"""


def _script(has_thread: bool, base: int) -> str:
    return f"""\
PHDRS {{ text PT_LOAD FLAGS(5); constants PT_LOAD FLAGS(4); stubs PT_LOAD FLAGS(5); imports PT_LOAD FLAGS(6);
         data PT_LOAD FLAGS(6);{" thread PT_TLS FLAGS(4);" if has_thread else ""} }}
SECTIONS
{{
  . = {base + layout.TEXT_AT:#x};
  .text : {{ *(EXCLUDE_FILE(*.far.o) .text.* EXCLUDE_FILE(*.far.o) .gnu.linkonce.t.*)
    *(EXCLUDE_FILE(*.far.o) .text) }} :text
  . = {base + layout.RODATA_AT:#x};
  .rodata : {{ *(.rodata .rodata.* .gnu.linkonce.r.* .data.rel.ro .data.rel.ro.*) *(.gccllm.names .got .got.plt) }}
    :constants
  . = {base + layout.STUBS_AT:#x};
  .stubs : {{ *(.gccllm.stubs) *(.text .text.*) }} :stubs
  . = {layout.IMAGE_IMPORTS:#x};
  .imports : {{ KEEP(*(.gccllm.imports)) }} :imports
  . = {base + layout.DATA_AT:#x};
  .data : {{ *(.data .data.* .gnu.linkonce.d.*) }} :data
{_THREAD if has_thread else ""}  .bss : {{ *(.bss .bss.* .gnu.linkonce.b.* COMMON) }} :data
  /DISCARD/ : {{ *(.eh_frame .comment .note .note.* .gnu.* .init_array .init_array.* .ctors .fini_array
    .debug* .gcc_except_table*) }}
}}
"""
