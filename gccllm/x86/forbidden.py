"""Instructions and forms that no rewrite may use: two tables, read by the screen.

The mnemonic table is a deny-list with a clear reason per row. It is not the only net: anything privileged is refused,
and an instruction whose CPUID feature is in no ISA level is refused as `isa` whatever this table says. Each row
carries an example that the tests assemble and see refused.

Not covered: what an allowed instruction computes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

from iced_x86 import FlowControl, OpKind, Register

from gccllm.base.reasons import Reason
from gccllm.base.runtime import GET_ADDRESS
from gccllm.x86.decode import Insn


class Row(NamedTuple):
    mnemonic: str
    """iced-x86's name."""
    example: str
    """AT&T text of one instruction with this mnemonic."""
    reason: Reason = Reason.FORBIDDEN_INSTRUCTION


_CONTROL = Reason.CONTROL_WORD

# fmt: off
FORBIDDEN = (
    Row("CLDEMOTE", "cldemote (%rdi)"),
    Row("CLFLUSH", "clflush (%rdi)"),
    Row("CLFLUSHOPT", "clflushopt (%rdi)"),
    Row("CLI", "cli"),
    Row("CLUI", "clui"),
    Row("CLWB", "clwb (%rdi)"),
    Row("CLZERO", "clzero"),
    Row("CPUID", "cpuid"),
    Row("EMMS", "emms"),
    Row("ENQCMD", "enqcmd (%rdi), %rax"),
    Row("ENTER", "enter $8, $0"),
    Row("FEMMS", "femms"),
    Row("FLDCW", "fldcw -4(%rsp)", _CONTROL),
    Row("FLDENV", "fldenv -64(%rsp)", _CONTROL),
    Row("FNCLEX", "fnclex", _CONTROL),
    Row("FNINIT", "fninit", _CONTROL),
    Row("FNSAVE", "fnsave -120(%rsp)", _CONTROL),
    Row("FNSTCW", "fnstcw -4(%rsp)", _CONTROL),
    Row("FNSTENV", "fnstenv -64(%rsp)", _CONTROL),
    Row("FRSTOR", "frstor -120(%rsp)", _CONTROL),
    Row("FXRSTOR", "fxrstor (%rdi)", _CONTROL),
    Row("FXRSTOR64", "fxrstor64 (%rdi)", _CONTROL),
    Row("FXSAVE", "fxsave (%rdi)", _CONTROL),
    Row("FXSAVE64", "fxsave64 (%rdi)", _CONTROL),
    Row("HLT", "hlt"),
    Row("IN", "inb %dx, %al"),
    Row("INCSSPD", "incsspd %eax"),
    Row("INCSSPQ", "incsspq %rax"),
    Row("INSB", "insb (%dx), %es:(%rdi)"),
    Row("INSD", "insl (%dx), %es:(%rdi)"),
    Row("INSW", "insw (%dx), %es:(%rdi)"),
    Row("INT", "int $0x80"),
    Row("INT1", "int1"),
    Row("INT3", "int3"),
    Row("INVD", "invd"),
    Row("IRETD", "iret"),
    Row("IRETQ", "iretq"),
    Row("LAR", "lar %ax, %eax"),
    Row("LDMXCSR", "ldmxcsr -4(%rsp)", _CONTROL),
    Row("LFENCE", "lfence"),
    Row("LFS", "lfs (%rdi), %eax"),
    Row("LGDT", "lgdt (%rdi)"),
    Row("LGS", "lgs (%rdi), %eax"),
    Row("LIDT", "lidt (%rdi)"),
    Row("LLDT", "lldt %ax"),
    Row("LMSW", "lmsw %ax"),
    Row("LSL", "lsl %ax, %eax"),
    Row("LSS", "lss (%rdi), %eax"),
    Row("LTR", "ltr %ax"),
    Row("MASKMOVDQU", "maskmovdqu %xmm1, %xmm0"),
    Row("MASKMOVQ", "maskmovq %mm1, %mm0"),
    Row("MFENCE", "mfence"),
    Row("MONITOR", "monitor"),
    Row("MONITORX", "monitorx"),
    Row("MOVDIR64B", "movdir64b (%rdi), %rax"),
    Row("MOVDIRI", "movdiri %eax, (%rdi)"),
    Row("MOVNTDQ", "movntdq %xmm0, (%rdi)"),
    Row("MOVNTDQA", "movntdqa (%rdi), %xmm0"),
    Row("MOVNTI", "movnti %eax, (%rdi)"),
    Row("MOVNTPD", "movntpd %xmm0, (%rdi)"),
    Row("MOVNTPS", "movntps %xmm0, (%rdi)"),
    Row("MOVNTQ", "movntq %mm0, (%rdi)"),
    Row("MWAIT", "mwait"),
    Row("MWAITX", "mwaitx"),
    Row("OUT", "outb %al, %dx"),
    Row("OUTSB", "outsb %ds:(%rsi), (%dx)"),
    Row("OUTSD", "outsl %ds:(%rsi), (%dx)"),
    Row("OUTSW", "outsw %ds:(%rsi), (%dx)"),
    Row("PCONFIG", "pconfig"),
    Row("POPF", "popfw"),
    Row("POPFQ", "popfq"),
    Row("PTWRITE", "ptwrite %eax"),
    Row("PUSHF", "pushfw"),
    Row("PUSHFQ", "pushfq"),
    Row("RDFSBASE", "rdfsbase %rax"),
    Row("RDGSBASE", "rdgsbase %rax"),
    Row("RDMSR", "rdmsr"),
    Row("RDPID", "rdpid %rax"),
    Row("RDPKRU", "rdpkru"),
    Row("RDPMC", "rdpmc"),
    Row("RDPRU", "rdpru"),
    Row("RDRAND", "rdrand %rax"),
    Row("RDSEED", "rdseed %rax"),
    Row("RDSSPD", "rdsspd %eax"),
    Row("RDSSPQ", "rdsspq %rax"),
    Row("RDTSC", "rdtsc"),
    Row("RDTSCP", "rdtscp"),
    Row("RETF", "lret"),
    Row("SAVEPREVSSP", "saveprevssp"),
    Row("SENDUIPI", "senduipi %rax"),
    Row("SERIALIZE", "serialize"),
    Row("SFENCE", "sfence"),
    Row("SGDT", "sgdt (%rdi)"),
    Row("SIDT", "sidt (%rdi)"),
    Row("SLDT", "sldt %eax"),
    Row("SMSW", "smsw %eax"),
    Row("STD", "std", Reason.DIRECTION_FLAG),
    Row("STI", "sti"),
    Row("STMXCSR", "stmxcsr -4(%rsp)", _CONTROL),
    Row("STR", "str %eax"),
    Row("STUI", "stui"),
    Row("SWAPGS", "swapgs"),
    Row("SYSCALL", "syscall"),
    Row("SYSENTER", "sysenter"),
    Row("SYSEXIT", "sysexit"),
    Row("SYSRET", "sysret"),
    Row("TPAUSE", "tpause %eax"),
    Row("UIRET", "uiret"),
    Row("UMONITOR", "umonitor %rax"),
    Row("UMWAIT", "umwait %eax"),
    Row("VERR", "verr %ax"),
    Row("VERW", "verw %ax"),
    Row("VLDMXCSR", "vldmxcsr -4(%rsp)", _CONTROL),
    Row("VMASKMOVDQU", "vmaskmovdqu %xmm1, %xmm0"),
    Row("VMOVNTDQ", "vmovntdq %ymm0, (%rdi)"),
    Row("VMOVNTDQA", "vmovntdqa (%rdi), %ymm0"),
    Row("VMOVNTPD", "vmovntpd %ymm0, (%rdi)"),
    Row("VMOVNTPS", "vmovntps %ymm0, (%rdi)"),
    Row("VSTMXCSR", "vstmxcsr -4(%rsp)", _CONTROL),
    Row("WAIT", "fwait", _CONTROL),
    Row("WBINVD", "wbinvd"),
    Row("WRFSBASE", "wrfsbase %rax"),
    Row("WRGSBASE", "wrgsbase %rax"),
    Row("WRMSR", "wrmsr"),
    Row("WRPKRU", "wrpkru"),
    Row("WRSSD", "wrssd %eax, (%rdi)"),
    Row("WRSSQ", "wrssq %rax, (%rdi)"),
    Row("XABORT", "xabort $1"),
    Row("XBEGIN", "xbegin .L1"),
    Row("XEND", "xend"),
    Row("XGETBV", "xgetbv"),
    Row("XLATB", "xlatb"),
    Row("XRSTOR", "xrstor (%rdi)"),
    Row("XRSTOR64", "xrstor64 (%rdi)"),
    Row("XSAVE", "xsave (%rdi)"),
    Row("XSAVE64", "xsave64 (%rdi)"),
    Row("XSAVEC", "xsavec (%rdi)"),
    Row("XSAVEOPT", "xsaveopt (%rdi)"),
    Row("XSETBV", "xsetbv"),
    Row("XTEST", "xtest"),
)
# fmt: on

BY_MNEMONIC = {row.mnemonic: row for row in FORBIDDEN}


class Form(NamedTuple):
    """A refused form of otherwise fine instructions."""

    name: str
    applies: Callable[[Insn], bool]
    example: str
    neighbour: str
    """The nearest instruction that is not this form."""
    reason: Reason = Reason.FORBIDDEN_INSTRUCTION


def _segment(insn: Insn) -> bool:
    return insn.raw.segment_prefix in (Register.FS, Register.GS)


def _far(insn: Insn) -> bool:
    raw = insn.raw
    return bool(raw.is_call_far or raw.is_call_far_indirect or raw.is_jmp_far or raw.is_jmp_far_indirect)


def _exchange(insn: Insn) -> bool:
    return insn.mnemonic == "XCHG" and insn.effects.memory is not None


def _mmx(insn: Insn) -> bool:
    raw = insn.raw
    return any(
        raw.op_kind(i) == OpKind.REGISTER and Register.MM0 <= raw.op_register(i) <= Register.MM7
        for i in range(raw.op_count)
    )


def _return_pops(insn: Insn) -> bool:
    return bool(insn.flow == FlowControl.RETURN and insn.raw.op_count)


def _moves_segment(insn: Insn) -> bool:
    raw = insn.raw
    return any(
        raw.op_kind(i) == OpKind.REGISTER and Register.ES <= raw.op_register(i) <= Register.GS
        for i in range(raw.op_count)
    )


def _short_address(insn: Insn) -> bool:
    return insn.effects.memory is not None and (
        Register.EAX <= insn.raw.memory_base <= Register.R15D or Register.EAX <= insn.raw.memory_index <= Register.R15D
    )


_PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3))


def _narrow_branch(insn: Insn) -> bool:
    # Intel ignores the prefix, AMD truncates the instruction pointer.
    prefixes = itertools.takewhile(_PREFIXES.__contains__, insn.code)
    return insn.flow != FlowControl.NEXT and 0x66 in prefixes


# fmt: off
FORMS = (
    Form("exchange with memory (implied lock)", _exchange, "xchg %eax, (%rdi)", "xchg %eax, %ecx"),
    Form("far control transfer", _far, "ljmp *(%rdi)", "ret"),
    Form("lock prefix", lambda i: bool(i.raw.has_lock_prefix), "lock addl $1, (%rdi)", "addl $1, (%rdi)"),
    Form("mmx register", _mmx, "movq %rdi, %mm0", "movq %rdi, %xmm0"),
    Form("not an instruction", lambda i: bool(i.raw.is_invalid), "", ""),
    Form("privileged", lambda i: bool(i.raw.is_privileged), "mov %cr0, %rax", "mov %rdi, %rax"),
    Form("return that pops arguments", _return_pops, "ret $8", "ret"),
    Form("segment override", _segment, "movq %fs:40, %rax", "movq 40(%rdi), %rax"),
    Form("segment register", _moves_segment, "mov %ds, %eax", "mov %edi, %eax"),
    Form("32-bit address", _short_address, "movl (%edi), %eax", "movl (%rdi), %eax"),
    Form("operand-size prefix on a branch", _narrow_branch, "data16 ret", "ret"),
)
# fmt: on


def refusal(insn: Insn, *, has_thread_data: bool = False) -> tuple[Reason, str] | None:
    """Why the instruction may not be used, or None. `has_thread_data`: forms of thread-local access are fine."""
    row = BY_MNEMONIC.get(insn.mnemonic)
    if row is not None:
        return row.reason, str(insn)
    for form in FORMS:
        if form.applies(insn) and not (has_thread_data and form.name in THREAD_FORMS and THREAD_FORMS[form.name](insn)):
            return form.reason, f"{form.name}: {insn}"
    return None


def _thread_access(insn: Insn) -> bool:
    """An access by the thread pointer: through a register, by an offset that the linker knows, or to its own word."""
    memory = insn.effects.memory
    if not insn.is_thread_local or memory is None or insn.raw.is_string_instruction or insn.flow != FlowControl.NEXT:
        return False
    if memory.base in ("RIP", "RSP"):
        return False
    is_bare = not memory.base and not memory.index
    return not is_bare or insn.relocation is not None or (memory.displacement == 0 and not memory.is_written)


def _thread_call(insn: Insn) -> bool:
    """The padded call at the end of a general-dynamic sequence; that it stands there `assembly.tls` has seen."""
    called = insn.relocation.symbol if insn.relocation is not None else ""
    return called == GET_ADDRESS and insn.code.startswith((b"\x66\x66\x48\xe8", b"\x66\x48\xff\x15"))


THREAD_FORMS = {"segment override": _thread_access, "operand-size prefix on a branch": _thread_call}
"""Refused forms that are fine where the baseline has thread-local data, if they are as this says."""
