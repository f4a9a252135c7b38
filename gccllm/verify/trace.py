"""The checked build: a body with a log entry before every memory access and at every block, and what the log says.

`instrument` rewrites a body so that it behaves as before (registers, flags, stack untouched) and appends to a log in
memory: site and effective address of each access, block of each basic block entered. Entries describe themselves
(`layout.Event`), so no table travels with the text. mem* and str* calls go to logging copies that note the ranges
their contracts name. `trace` runs an instrumented entry and condenses the log with numpy.

Exempt, because they cannot be seen from outside: the test stack (own frame; writes above the frame are caught as an
ABI violation), the image's constants, tables inside the C library, prefetches, and segment-relative accesses.

Not covered: accesses of callees without an instrumented copy; maskmovdqu, repeated cmps and scas,
xlat, cache control and state-saving instructions (BodyError(UNSUPPORTED_INSTRUCTION)).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import iced_x86 as iced
import numpy as np
import numpy.typing as npt

from gccllm.assembly.body import Body, BodyError, Line
from gccllm.assembly.cfg import Edge, cfg
from gccllm.assembly.decode import DecodedLine, decode
from gccllm.assembly.module import Module
from gccllm.assembly.slice import reachable
from gccllm.assembly.syntax import Flow
from gccllm.core import ARENA_BASE, ARENA_STRIDE, ARENAS, Observation, RunStatus, Test
from gccllm.reasons import Reason
from gccllm.toolchain import Toolchain
from gccllm.verify import layout
from gccllm.verify.layout import Event
from gccllm.verify.replay import Replayer, decode_observation

Intervals = npt.NDArray[np.uint64]
"""(n, 2): first byte and one past the last, sorted, disjoint, not adjacent."""

DEADLINE_FACTOR = 10
"""A traced run may take this much longer than a plain one."""

_NAMES = {value: name for name, value in vars(iced.Mnemonic).items() if isinstance(value, int)}
_STRING_MOVES = ("MOVS", "STOS", "LODS")
_SIGN_MASKED = {"VMASKMOVPS": ("ps", 4), "VMASKMOVPD": ("pd", 8), "VPMASKMOVD": ("ps", 4), "VPMASKMOVQ": ("pd", 8)}
_GATHER = re.compile(r"VP?(GATHER|SCATTER)(D|Q)(D|Q|PS|PD)")
_VECTOR_INDEX = re.compile(
    r"(?P<displacement>[^()]*)\((?P<base>%\w+)?,(?P<index>%[xyz]mm\d+)(,(?P<scale>[1248]))?\)"
)
_IMPLICIT_STACK = ("push", "pop", "call", "ret", "leave", "enter")

# Plain integers: member access costs more than the arithmetic it is used in.
_READ, _WRITE, _BLOCK, _ENTER, _LEAVE, _RANGE = (
    int(e) for e in (Event.READ, Event.WRITE, Event.BLOCK, Event.ENTER, Event.LEAVE, Event.RANGE)
)


def traced_name(name: str) -> str:
    """Symbol of the instrumented copy of function `name`."""
    return f"{name}.traced"


# --- instrumenting --------------------------------------------------------------------------------


def instrument(
    body: Body,
    name: str,
    *,
    label: str | None = None,
    traced: Collection[str] = (),
    tools: Toolchain | None = None,
    blocks: bool = True,
) -> str:
    """Text that defines `label` (default `traced_name(name)`), the instrumented copy of `body`, as a global function.

    `name` is the function the body stands for: its calls to itself stay in the copy. `traced` are functions of the
    unit that have instrumented copies (`instrument_callees`); calls go there. `blocks=False` logs memory only.
    Raises BodyError(UNSUPPORTED_INSTRUCTION), or what `decode` raises.
    """
    label = label or traced_name(name)
    graph = cfg(body)
    decoded = decode(body, tools or Toolchain.find()).by_line
    leaders = {block.first: n for n, block in enumerate(graph.blocks)}
    for block in graph.blocks:
        # Two labels on one place make one block; its entry is logged after the last of them.
        at, number = block.first, leaders.pop(block.first)
        while at + 1 < block.last and body.lines[at].label:
            at += 1
        leaders[at] = number
    body = body.renamed(f"traced_{''.join(c if c.isalnum() else '_' for c in label)}")
    rename = {name: label} | {f: traced_name(f) for f in traced}
    rename |= {f: layout.TRACED_PREFIX + f for f in layout.TRACED_IMPORTS if f in body.externals}
    body = body.with_symbols(lambda symbol: rename.get(symbol, symbol))
    rows = ["\t.text", "\t.p2align 4", f"\t.globl {label}", f"\t.type {label}, @function", f"{label}:"]
    if blocks:
        rows += _event(Event.ENTER, 0)
    for at, line in enumerate(body.lines):
        if line.label:
            rows.append(line.text())
        if blocks and at in leaders:
            rows += _event(Event.BLOCK, leaders[at])
        if line.label:
            continue
        rows += _accesses(line, decoded[at], at)
        if blocks and (line.flow is Flow.RETURN or _leaves(line, body) or at in graph.unresolved):
            if line.flow is Flow.BRANCH and name in body.calls:
                raise BodyError(Reason.UNSUPPORTED_INSTRUCTION, "a conditional tail call in a recursive function")
            if line.flow is not Flow.BRANCH:
                rows += _event(Event.LEAVE, 0)
        rows.append(line.text())
    constants = Body((), body.constants).text() if body.constants else ""
    return "\n".join(rows) + "\n" + constants + "\t.text\n"


def instrument_callees(module: Module, name: str, tools: Toolchain | None = None) -> tuple[str, frozenset[str]]:
    """Instrumented copies (memory only) of the functions of the unit that `name` can reach, and their names.

    A function that cannot be instrumented is left out: its accesses stay unseen on both sides.
    """
    wanted = [f for f in reachable(module, name)[0] if f != name]
    bodies: dict[str, Body] = {}
    for one in wanted:
        try:
            bodies[one] = module.functions[one].body
            instrument(bodies[one], one, tools=tools, blocks=False)
        except BodyError:
            bodies.pop(one, None)
    names = frozenset(bodies)
    rest = (instrument(body, one, traced=names, tools=tools, blocks=False) for one, body in bodies.items())
    return "".join(rest), names


def _leaves(line: Line, body: Body) -> bool:
    return line.flow in (Flow.JUMP, Flow.BRANCH) and line.target not in body.labels


def _event(kind: Event, number: int) -> list[str]:
    return [
        f"\tmovq %rax, {layout.SLOT_SAVE_A:#x}",
        f"\tmovq {layout.SLOT_LOG:#x}, %rax",
        f"\tmovq ${kind | number << 16:#x}, (%rax)",
        "\tleaq 16(%rax), %rax",
        f"\tmovq %rax, {layout.SLOT_LOG:#x}",
        f"\tmovq {layout.SLOT_SAVE_A:#x}, %rax",
    ]


def _append(site: int, length: int = 0, mask: str = "", compute: str = "", count: str = "") -> list[str]:
    """One entry, or two with a mask. `mask`, `compute` are instructions that leave the mask or address in %rax."""
    rows = [f"\tmovq %rax, {layout.SLOT_SAVE_A:#x}", f"\tmovq %rcx, {layout.SLOT_SAVE_B:#x}"]
    if mask:
        rows += [
            f"\t{mask}",
            f"\tmovq {layout.SLOT_LOG:#x}, %rcx",
            f"\tmovq ${int(Event.MASK)}, (%rcx)",
            "\tmovq %rax, 8(%rcx)",
            "\tleaq 16(%rcx), %rcx",
            f"\tmovq %rcx, {layout.SLOT_LOG:#x}",
            f"\tmovq {layout.SLOT_SAVE_A:#x}, %rax",
            f"\tmovq {layout.SLOT_SAVE_B:#x}, %rcx",
        ]
    rows += [
        f"\t{compute}",
        f"\tmovq {layout.SLOT_LOG:#x}, %rcx",
        "\tmovq %rax, 8(%rcx)",
        f"\tmovl ${site:#x}, (%rcx)",
    ]
    if count:
        rows += [f"\tmovq {layout.SLOT_SAVE_B:#x}, %rax", "\tmovl %eax, 4(%rcx)"]
    else:
        rows.append(f"\tmovl ${length:#x}, 4(%rcx)")
    rows += [
        "\tleaq 16(%rcx), %rcx",
        f"\tmovq %rcx, {layout.SLOT_LOG:#x}",
        f"\tmovq {layout.SLOT_SAVE_B:#x}, %rcx",
        f"\tmovq {layout.SLOT_SAVE_A:#x}, %rax",
    ]
    return rows


def _accesses(line: Line, one: DecodedLine, at: int) -> list[str]:
    """Logging code for the accesses of one instruction."""
    raw = one.instruction
    name = _NAMES[raw.mnemonic].upper()
    if name in ("STD", "XLATB") or name.startswith(("MASKMOV", "FXSAVE", "XSAVE", "FXRSTOR", "XRSTOR")):
        raise BodyError(Reason.UNSUPPORTED_INSTRUCTION, line.text().strip())
    if raw.is_string_instruction:
        return _string_move(line, one, name, at)
    seen = [a for a in one.accesses if a.segment not in ("fs", "gs")]
    if line.mnemonic.startswith(_IMPLICIT_STACK):
        seen = [a for a in seen if a.base != "rsp"]
    operand = _memory_operand(line)
    if not seen or "@GOT" in operand or (not operand and line.mnemonic.startswith(_IMPLICIT_STACK)):
        return []
    if not operand:
        raise BodyError(Reason.UNSUPPORTED_INSTRUCTION, line.text().strip())
    if operand.endswith("(%rsp)"):
        return []
    width = max(a.size for a in seen)
    if not 0 < width < 1 << 12:
        raise BodyError(Reason.UNSUPPORTED_INSTRUCTION, line.text().strip())
    reads, writes = any(a.is_read for a in seen), any(a.is_write for a in seen)
    kind = (Event.READ if reads else 0) | (Event.WRITE if writes else 0)
    site = kind | width << 4 | at << 16
    if any(a.index[:3] in ("xmm", "ymm", "zmm") for a in seen):
        return _gather(line, one, name, operand, at)
    compute = f"leaq {operand}, %rax"
    if name in _SIGN_MASKED:
        suffix, lane = _SIGN_MASKED[name]
        return _append(site, lane, f"vmovmsk{suffix} {line.operands[1]}, %eax", compute)
    if raw.op_mask != iced.Register.NONE and not raw.is_broadcast:
        lane = iced.MemorySizeInfo(raw.memory_size).element_size
        packed = layout.PACKED if "COMPRESS" in name or "EXPAND" in name else 0
        register = f"%k{raw.op_mask - iced.Register.K0}"
        return _append(site, lane | packed, f"kmovq {register}, %rax", compute)
    return _append(site, 0, "", compute)


def _gather(line: Line, one: DecodedLine, name: str, operand: str, at: int) -> list[str]:
    """Entries for every lane of a gather or scatter, after one with the mask."""
    found = _VECTOR_INDEX.fullmatch(operand)
    kind = _GATHER.fullmatch(name)
    data = next((o for o in reversed(line.operands) if o.startswith("%") and o.split("{")[0] != operand), "")
    if not found or not kind or not data:
        raise BodyError(Reason.UNSUPPORTED_INSTRUCTION, line.text().strip())
    index_bytes, lane_bytes = (4 if letter in ("D", "PS") else 8 for letter in (kind[2], kind[3]))
    size = {"x": 16, "y": 32, "z": 64}
    index = found["index"]
    lanes = min(size[data[1]] // lane_bytes, size[index[1]] // index_bytes)
    encoded = one.instruction.op_mask != iced.Register.NONE
    if encoded:
        mask = f"kmovq %k{one.instruction.op_mask - iced.Register.K0}, %rax"
    else:
        mask = f"vmovmsk{'ps' if lane_bytes == 4 else 'pd'} {line.operands[0]}, %eax"
    base = f"{found['displacement']}({found['base']})" if found["base"] else found["displacement"] or "0"
    save = ((("rax", layout.SLOT_SAVE_A), ("rcx", layout.SLOT_SAVE_B), ("rdx", layout.SLOT_SAVE_C)))
    rows = [f"\tmovq %{register}, {slot:#x}" for register, slot in save]
    rows += [
        f"\tleaq {base}, %rax", f"\tmovq %rax, {layout.SLOT_BASE:#x}",
        f"\tvmovdqu{'64' if encoded else ''} {index}, {layout.SLOT_VECTOR:#x}",
        f"\t{mask}", f"\tmovq {layout.SLOT_LOG:#x}, %rcx", f"\tmovq ${int(Event.MASK)}, (%rcx)",
        "\tmovq %rax, 8(%rcx)", "\tleaq 16(%rcx), %rcx",
    ]  # fmt: skip
    site = (Event.WRITE if "SCATTER" in name else Event.READ) | lane_bytes << 4 | at << 16
    for lane in range(lanes):
        load = "movslq" if index_bytes == 4 else "movq"
        rows += [
            f"\t{load} {layout.SLOT_VECTOR + index_bytes * lane:#x}, %rdx", f"\tmovq {layout.SLOT_BASE:#x}, %rax",
            f"\tleaq (%rax,%rdx,{found['scale'] or 1}), %rax", "\tmovq %rax, 8(%rcx)",
            f"\tmovl ${site:#x}, (%rcx)", f"\tmovl ${layout.LANE | lane << 16:#x}, 4(%rcx)", "\tleaq 16(%rcx), %rcx",
        ]  # fmt: skip
    rows.append(f"\tmovq %rcx, {layout.SLOT_LOG:#x}")
    return rows + [f"\tmovq {slot:#x}, %{register}" for register, slot in save]


def _string_move(line: Line, one: DecodedLine, name: str, at: int) -> list[str]:
    if not name.startswith(_STRING_MOVES):
        raise BodyError(Reason.UNSUPPORTED_INSTRUCTION, line.text().strip())
    width = {"B": 1, "W": 2, "D": 4, "Q": 8}[name[-1]]
    repeated = bool(one.instruction.has_rep_prefix or one.instruction.has_repne_prefix)
    rows: list[str] = []
    for kind, register in ((Event.READ, "rsi"), (Event.WRITE, "rdi")):
        if (kind is Event.READ and name.startswith("STOS")) or (kind is Event.WRITE and name.startswith("LODS")):
            continue
        site = kind | (Event.RANGE if repeated else 0) | width << 4 | at << 16
        rows += _append(site, 0, "", f"movq %{register}, %rax", "rcx" if repeated else "")
    return rows


def _memory_operand(line: Line) -> str:
    """The explicit memory operand without segment and decoration, or empty."""
    for operand in line.operands:
        text = operand.split("{", 1)[0].lstrip("*")
        if text.startswith(("$", "%")) and not (text.startswith("%") and ":" in text):
            continue
        if text.startswith("{") or not text:
            continue
        return text.split(":", 1)[1] if ":" in text else text
    return ""


# --- reading the log ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trace:
    """What one instrumented run did.

    `reads` and `writes` cover the arenas and the image's writable data; writes also anything else but the own stack.
    `overflow`: the log was too small, and everything here is incomplete.
    """

    status: RunStatus
    edges: frozenset[Edge] = frozenset()
    blocks: frozenset[int] = frozenset()
    reads: Intervals = field(default_factory=lambda: np.zeros((0, 2), np.uint64))
    writes: Intervals = field(default_factory=lambda: np.zeros((0, 2), np.uint64))
    overflow: bool = False
    steps: int = 0
    """Entries in the log: a deterministic measure of the work done."""
    observation: Observation | None = None


def trace(replayer: Replayer, entry: str, test: Test) -> Trace:
    """Run the instrumented `entry` once."""
    return trace_many(replayer, entry, [test])[0]


def trace_many(replayer: Replayer, entry: str, tests: Sequence[Test]) -> list[Trace]:
    """One trace a test, in order; several tests share a log where they fit."""
    out: list[Trace] = []
    group = 64
    deadline_ms = DEADLINE_FACTOR * replayer.deadline_ms
    while len(out) < len(tests):
        todo = tests[len(out) : len(out) + group]
        seen, log = replayer.run_traced(entry, todo, deadline_ms)
        for n, row in enumerate(seen):
            start, end = (int(row[k]) // layout.LOG.itemsize for k in ("log_start", "log_end"))
            one = _condensed(log[start:end], decode_observation(row), replayer)
            if one.overflow and n > 0:
                break  # the entries before left too little room: again, first in its own log
            out.append(one)
        group = max(1, min(64, group * 2 if n + 1 == len(todo) else n))
    return out


def _condensed(log: npt.NDArray[np.void], seen: Observation, replayer: Replayer) -> Trace:
    end = layout.LOG_BASE + layout.LOG_BYTES
    overflow = seen.status is RunStatus.FAULT and end <= seen.fault_address < end + layout.PAGE
    kind = (log["site"] & 15).astype(np.uint32)
    edges, blocks = _edges(log, kind)
    if overflow:
        return Trace(seen.status, edges, blocks, overflow=True, steps=len(log), observation=seen)
    reads, writes = _touched(log, kind)
    low, high = replayer.image.writable
    outside = _outside_arenas(reads) & ((reads[:, 0] < low) | (reads[:, 0] >= high))
    return Trace(
        seen.status, edges, blocks, merged(reads[~outside]), merged(writes), overflow, len(log), seen,
    )  # fmt: skip


def _outside_arenas(rows: Intervals) -> npt.NDArray[np.bool_]:
    last = ARENA_BASE + ARENAS * ARENA_STRIDE
    return (rows[:, 0] < ARENA_BASE) | (rows[:, 0] >= last)


def _edges(log: npt.NDArray[np.void], kind: npt.NDArray[np.uint32]) -> tuple[frozenset[Edge], frozenset[int]]:
    control = log["site"][(kind >= _BLOCK) & (kind <= _LEAVE)]
    what, number = control & 15, control >> 16
    entered = number[what == _BLOCK]
    blocks = frozenset(int(b) for b in np.unique(entered))
    if (what == _ENTER).sum() <= 1:
        pairs = np.unique(entered[:-1].astype(np.uint64) << np.uint64(32) | entered[1:])
        return frozenset((int(p) >> 32, int(p) & 0xFFFF_FFFF) for p in pairs), blocks
    # Recursion: the block before is that of the same activation.
    edges: set[Edge] = set()
    stack: list[int] = []
    for event, block in zip(what.tolist(), number.tolist(), strict=True):
        if event == _ENTER:
            stack.append(-1)
        elif event == _LEAVE:
            if stack:
                stack.pop()
        elif stack:
            if stack[-1] >= 0:
                edges.add((stack[-1], block))
            stack[-1] = block
    return frozenset(edges), blocks


def _touched(log: npt.NDArray[np.void], kind: npt.NDArray[np.uint32]) -> tuple[Intervals, Intervals]:
    """Unmerged intervals read and written, own stack and control page left out."""
    at = np.flatnonzero(((kind & 3) != 0) & ((kind & 7) <= 3) & (kind != _RANGE))
    rows = log[at]
    how = kind[at]
    width = (rows["site"] >> 4 & 0xFFF).astype(np.uint64)
    length = rows["length"].astype(np.uint64)
    ranged = (how & _RANGE) != 0
    lane = ~ranged & ((rows["length"] & layout.LANE) != 0)
    masked = ~ranged & ~lane & (length != 0)
    size = np.where(ranged, width * length, width)
    start = rows["address"]
    spans = np.stack([start, start + size], axis=1)
    plain = ~masked & (size > 0)
    if lane.any():
        number = rows["length"] >> 16
        mask = log["address"][np.where(lane, at - 1 - number.astype(np.intp), 0)]
        plain &= ~lane | (mask >> number.astype(np.uint64) & np.uint64(1)).astype(np.bool_)
    parts, hows = [spans[plain]], [how[plain]]
    if masked.any():
        lanes, which = _lanes(rows[masked], log["address"][at[masked] - 1])
        parts.append(lanes)
        hows.append(how[masked][which])
    spans, how = np.concatenate(parts), np.concatenate(hows)
    base, top = layout.STACK_BASE - layout.PAGE, layout.STACK_BASE + layout.STACK_BYTES
    own = ((spans[:, 0] >= base) & (spans[:, 0] < top)) | (
        (spans[:, 0] >= layout.CONTROL) & (spans[:, 0] < layout.CONTROL + layout.PAGE)
    )
    spans, how = spans[~own], how[~own]
    return spans[(how & _READ) != 0], spans[(how & _WRITE) != 0]


def _lanes(rows: npt.NDArray[np.void], masks: npt.NDArray[np.uint64]) -> tuple[Intervals, npt.NDArray[np.intp]]:
    """Intervals of the lanes in use, and the row each belongs to."""
    lane = (rows["length"] & 0xFF).astype(np.uint64)
    width = (rows["site"] >> 4 & 0xFFF).astype(np.uint64)
    packed = (rows["length"] & layout.PACKED) != 0
    bits = (masks[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    bits[np.arange(64)[None, :] >= (width // lane)[:, None]] = 0
    count = bits.sum(axis=1)
    for i in np.flatnonzero(packed):
        bits[i] = np.arange(64) < count[i]
    which, index = np.nonzero(bits)
    start = rows["address"][which] + index.astype(np.uint64) * lane[which]
    return np.stack([start, start + lane[which]], axis=1), which


# --- interval arithmetic --------------------------------------------------------------------------


def merged(spans: Intervals) -> Intervals:
    """Sorted, disjoint, not adjacent intervals of the same bytes."""
    if not len(spans):
        return np.zeros((0, 2), np.uint64)
    spans = spans[np.argsort(spans[:, 0], kind="stable")]  # far faster than unique rows
    reach = np.maximum.accumulate(spans[:, 1])
    first = np.ones(len(spans), np.bool_)
    first[1:] = spans[1:, 0] > reach[:-1]
    starts = np.flatnonzero(first)
    return np.stack([spans[starts, 0], np.maximum.reduceat(spans[:, 1], starts)], axis=1)


def minus(left: Intervals, right: Intervals) -> Intervals:
    """Bytes of `left` that are not in `right`; both merged, and so is the result."""
    if not len(left) or not len(right):
        return left
    edges = np.concatenate([left[:, 0], left[:, 1], right[:, 0], right[:, 1]])
    step = np.repeat(np.array([1, -1, -2, 2]), [len(left), len(left), len(right), len(right)])
    order = np.argsort(edges, kind="stable")
    edges, depth = edges[order], np.cumsum(step[order])
    at = np.flatnonzero((depth[:-1] == 1) & (edges[1:] > edges[:-1]))
    return merged(np.stack([edges[at], edges[at + 1]], axis=1))
