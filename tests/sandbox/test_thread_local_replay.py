"""Functions that use thread-local data: images, replay, the checked build, the screen, a harvest and its verdicts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from gccllm.assembly import Body, BodyError, Module
from gccllm.base.core import Decline, FarData, GlobalBytes, Returned, RunStatus, Slot, Test
from gccllm.base.reasons import Reason
from gccllm.harvest.harvest import QUICK, Harvest, harvest
from gccllm.sandbox.compare import same
from gccllm.sandbox.image import AssembleError, CalleeSpec, Image, build_image
from gccllm.sandbox.replay import Replayer, Sampling, Sides
from gccllm.sandbox.trace import instrument, trace
from gccllm.verify import adequacy
from gccllm.verify.judge import judge
from gccllm.verify.workbench import Workbench
from tests.kit.bench import bench, offered, other_body
from tests.kit.replay import INT, TOOLS, compiled, function
from tests.kit.targets import target_of

MODELS = {
    "local exec": ("-fno-pie",),
    "local exec, pie": ("-fPIE",),
    "initial exec": ("-fPIC", "-ftls-model=initial-exec"),
    "dynamic": ("-fPIC",),
    "dynamic, no plt": ("-fPIC", "-fno-plt"),
}
SOURCE = """
#include <ctype.h>
#include <math.h>
#include <string.h>
static __thread unsigned state = 7;
static __thread unsigned counts[16];
__thread int shared = 5;
__thread char wide[100] __attribute__((aligned(128)));
static int plain = 3;
unsigned step(int n) { while (n-- > 0) state = state * 1664525u + 1013904223u, counts[state >> 28]++;
    return state + shared + plain++; }
unsigned step_other(int n) { while (n-- > 0) state = state * 1664525u + 1013904223u, counts[state >> 28] += 2;
    return state + shared + plain++; }
char *where(int which) { return which == 0 ? (char *)&state : which == 1 ? (char *)counts : which == 2 ? (char *)&shared
    : wide; }
double root(double x) { shared++; return sqrt(x) + log(x); }
int upper(int c) { shared += c; return toupper(c) + (int)strlen(wide) + shared; }
int faults(int n) { shared = n; return *(int *)(long)n; }
int spins(int n) { shared = n; for (;;) __asm__ volatile(""); }
int ext(int);
int asks(int n) { int s = 0; for (int i = 0; i < n; i++) shared += i, s += ext(i); return s + shared; }
"""


def called(*ints: int, **more: object) -> Test:
    return Test(ints=ints, int_bytes=(4,) * len(ints), **more)  # type: ignore[arg-type]


def word(data: bytes) -> int:
    return int.from_bytes(data, "little")


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS)
def flags(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


@pytest.fixture(scope="module", params=[False, True], ids=["checked", "plain"])
def image(request: pytest.FixtureRequest, flags: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Image:
    text = compiled(SOURCE, *flags)
    callees = {"ext": CalleeSpec(ints=(4,), returns=INT)}
    return build_image(tmp_path_factory.mktemp("image"), text, TOOLS, callees, plain=request.param)


@pytest.fixture
def replayer(image: Image) -> Iterator[Replayer]:
    with Replayer(image, INT) as running:
        yield running


# --- images -------------------------------------------------------------------------------------------------------


def test_symbols_are_where_the_code_finds_the_data(image: Image, replayer: Replayer) -> None:
    seen = [replayer.run("where", [called(i)])[0] for i in range(4)]
    at = [word(o.returned[Slot.RAX][:8]) for o in seen]
    assert at == [image.symbols[name] for name in ("state", "counts", "shared", "wide")]
    assert all(image.writable[0] <= address < image.writable[1] for address in at)
    assert image.symbols["wide"] % 128 == 0


def test_an_image_without_thread_local_data_knows_nothing_of_it(tmp_path: Path) -> None:
    source = "#include <string.h>\nint plain = 3; int f(const char *s) { return (int)strlen(s) + plain++; }"
    for plain in (False, True):
        built = build_image(tmp_path / str(plain), compiled(source), TOOLS, plain=plain)
        with built.path.open("rb") as stream:
            elf = ELFFile(stream)
            assert not list(elf.iter_segments("PT_TLS"))
            stubs = elf.get_section_by_name(".stubs").data()
        assert b"\xf3\x41\x0f\xae" not in stubs  # wrfsbase
        assert built.writable == (built.symbols["plain"], built.symbols["plain"] + 4)


def test_data_of_another_unit_has_room(tmp_path: Path) -> None:
    source = "extern __thread int there[10]; static __thread int here; int f(int i) { return there[i] + here++; }"
    for flags in (("-fPIE",), ("-fPIC",)):
        text = compiled(source, *flags)
        built = build_image(tmp_path / flags[0], text, TOOLS, {"there": FarData(40)})
        with Replayer(built, INT) as running:
            (seen,) = running.run("f", [called(3, globals=(GlobalBytes("there", 12, b"\x2a\0\0\0"),))])
        assert seen.returned[Slot.RAX][:4] == b"\x2a\0\0\0"
        with pytest.raises(Decline) as refused:
            build_image(tmp_path / "none", text, TOOLS)
        assert refused.value.reason is Reason.FAR_DATA


@pytest.mark.parametrize(
    "code",
    [
        ("leaq shared@tlsgd(%rip), %rdi", "call __tls_get_addr@PLT", "ret"),
        ("cmpq shared@gottpoff(%rip), %rax", "ret"),
        ("data16 leaq shared@tlsgd(%rip), %rdi", "nop", ".value 0x6666", "rex64", "call __tls_get_addr@PLT", "ret"),
    ],
    ids=["unpadded", "compared", "torn"],
)
def test_a_sequence_that_the_linker_does_not_know_is_refused(code: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(AssembleError):
        build_image(tmp_path, compiled(SOURCE) + "\t.text\n" + function("odd", *code), TOOLS, {"ext": CalleeSpec()})


# --- replay -------------------------------------------------------------------------------------------------------


def test_it_starts_from_the_units_values_each_time(replayer: Replayer) -> None:
    first, second = replayer.run("step", [called(10), called(10)])
    assert same(first, second, INT) is None
    (other,) = replayer.run("step_other", [called(10)])
    assert other.returned[Slot.RAX] == first.returned[Slot.RAX]
    assert same(first, other, INT) == "the memory after the call differs"


def test_the_librarys_own_thread_local_data_is_not_the_images(replayer: Replayer) -> None:
    """errno of a root of -1, the locale of toupper; and the function goes on with its own data."""
    minus_one = Test(vectors=(0xBFF0_0000_0000_0000,), vector_bytes=(8,))
    assert [o.status for o in replayer.run("root", [minus_one, minus_one], poison=1)] == [RunStatus.OK] * 2
    test = called(ord("a"), globals=(GlobalBytes("shared", 0, b"\7\0\0\0"), GlobalBytes("wide", 0, b"four\0")))
    (seen,) = replayer.run("upper", [test])
    assert word(seen.returned[Slot.RAX][:4]) == ord("A") + 4 + 7 + ord("a")


def test_faults_and_time_outs_are_told_apart(replayer: Replayer) -> None:
    seen = [replayer.run(name, [called(n)])[0] for name, n in (("faults", 8), ("spins", 1), ("faults", 8), ("step", 3))]
    assert [o.status for o in seen] == [RunStatus.FAULT, RunStatus.TIMEOUT, RunStatus.FAULT, RunStatus.OK]
    assert seen[0].fault_address == 8


def test_a_stand_in_answers_the_same_each_time(replayer: Replayer) -> None:
    first, second = replayer.run("asks", [called(5), called(5)])
    assert same(first, second, INT) is None


def test_calls_of_the_library_are_timed(flags: tuple[str, ...], tmp_path: Path) -> None:
    text = compiled(SOURCE, *flags) + "\t.text\n" + function("empty", "ret")
    built = build_image(tmp_path, text, TOOLS, {"ext": CalleeSpec(ints=(4,), returns=INT)}, plain=True)
    with Replayer(built, INT) as running:
        tests = [called(c) for c in range(97, 107)]
        samples = running.time(Sides(["upper"], ["upper"], "empty"), tests, Sampling(3, 1, 20_000, 1, 60.0))
    assert len(samples) == 3
    assert (samples["first"] > 0).all()


# --- the checked build --------------------------------------------------------------------------------------------


def test_accesses_are_logged_by_their_addresses(flags: tuple[str, ...], tmp_path: Path) -> None:
    text = compiled(SOURCE, *flags)
    body = Module.parse(text).functions["step"].body
    built = build_image(tmp_path, text + instrument(body, "step", tools=TOOLS), TOOLS, {"ext": CalleeSpec(ints=(4,))})
    with Replayer(built, INT) as running:
        seen = trace(running, "step.traced", called(200))
        (want,) = running.run("step", [called(200)])
    assert seen.observation is not None
    assert same(want, seen.observation, INT) is None
    spans = {name: (built.symbols[name], built.symbols[name] + built.sizes[name])
             for name in ("state", "counts", "shared", "plain")}  # fmt: skip
    reads, writes = ({tuple(map(int, row)) for row in rows} for rows in (seen.reads, seen.writes))
    assert covered(reads) == covered(spans.values())
    assert covered(writes) == covered(spans[name] for name in ("state", "counts", "plain"))


def covered(spans: object) -> set[int]:
    return set(itertools.chain.from_iterable(range(a, b) for a, b in spans))  # type: ignore[attr-defined]


# --- bodies and the screen ----------------------------------------------------------------------------------------

GENERAL = "data16 leaq x@tlsgd(%rip), %rdi\n.value 0x6666\nrex64\ncall __tls_get_addr@PLT\n"


def test_a_general_dynamic_sequence_comes_back_as_it_was() -> None:
    for text in (GENERAL, "data16\nleaq x@TLSGD(%rip), %rdi\ndata16\ndata16\nrex64\ncallq __tls_get_addr@PLT\n"):
        body = Body.parse("pushq %rbx\n" + text + "popq %rbx\nret\n")
        assert body.instructions == 5
        assert "\t.value\t0x6666\n\trex64\n\tcall" in body.text()
        assert Body.parse(body.text()) == body


@pytest.mark.parametrize(
    "text",
    [
        GENERAL.replace("\nrex64", ""), GENERAL.replace("data16 ", ""), GENERAL.replace("%rdi", "%rsi"),
        GENERAL.replace("\n.value", "\nnop\n.value"), GENERAL.replace("\n.value", "\n.L1:\n.value"),
        GENERAL.replace("__tls_get_addr", "f"), ".value 0x6666\nrex64\n", ".value 0x6666\n.L1:\n", ".value 0x6667\n",
        "call __tls_get_addr@PLT\n", "leaq x@tlsld(%rip), %rdi\n",
        "leaq x@tlsld(%rip), %rdi\n.L1:\ncall __tls_get_addr@PLT\n",
        "movl x@gottpoff(%rip), %eax\n", "leaq x@TLSDESC(%rip), %rax\ncall *x@TLSCALL(%rax)\n",
    ],
)  # fmt: skip
def test_no_other_form_of_it_is_a_body(text: str) -> None:
    with pytest.raises(BodyError):
        Body.parse(text + "jmp .L1\n.L2:\nret\n" if ".L1" in text else text + "ret\n")


TARGET = """
static __thread unsigned state = 7;
static __thread unsigned counts[16];
__attribute__((noinline)) unsigned target(int n) {
    for (int i = 0; i < n; i++) { state = state * 1664525u + 1013904223u; counts[state >> 28]++; }
    return state;
}
"""


@pytest.fixture(scope="module")
def found(flags: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> tuple[Harvest, Workbench]:
    place = tmp_path_factory.mktemp("harvest")
    (place / "unit.c").write_text(TARGET)
    target = target_of(place / "unit.c", "target", ["-O3", "-fcf-protection=none", *flags], place)
    made = harvest(target, seed=7, deadline_s=600, budget=QUICK)
    room = place / "bench"
    room.mkdir()
    return made, bench(room, TARGET, *flags, tests=made.tests, returns=(Returned(Slot.RAX, 4),))


def test_inputs_vary_it_and_are_adequate(found: tuple[Harvest, Workbench]) -> None:
    made, own = found
    assert made.edges_taken == made.edges_all
    pieces = {(piece.symbol, piece.data) for test in made.tests for piece in test.globals}
    assert len({data for symbol, data in pieces if symbol == "state"}) > 10
    assert len({data for symbol, data in pieces if symbol == "counts"}) > 10
    assert adequacy.score(own).is_adequate


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("", "", None),
        ("counts[state >> 28]++", "counts[state >> 28] += 2", Reason.WRONG_MEMORY),
        ("counts[state >> 28]++;", "counts[state >> 28] += i < 5;", Reason.WRONG_MEMORY),
        ("state = state * 1664525u", "state = state * 1664527u", Reason.WRONG_VALUE),
        ("return state", "counts[3] ^= 1; __asm__(\"\" ::: \"memory\"); counts[3] ^= 1; return state",
         Reason.STRAY_STORE),
    ],
    ids=["equal", "another value", "not written", "another result", "written back"],
)  # fmt: skip
def test_verdicts(
    old: str, new: str, reason: Reason | None, found: tuple[Harvest, Workbench], flags: tuple[str, ...]
) -> None:
    case = judge(other_body(TARGET.replace(old, new), "-O1", *flags), found[1])
    assert case.verdict.reason is reason, case.verdict.detail


def test_what_the_screen_refuses(tmp_path: Path) -> None:
    fixed, dynamic = (
        bench(tmp_path / name, TARGET, *flags, tests=[called(3)])
        for name, flags in (("a", ("-fno-pie",)), ("b", ("-fPIC",)))
    )
    plain = bench(tmp_path / "c", "int target(int n) { return n * 3; }", tests=[called(3)])
    load = "movl %fs:state@tpoff, %eax\nret\n"
    ask = "pushq %rbx\nleaq state@tlsld(%rip), %rdi\ncall __tls_get_addr@PLT\nmovl state@dtpoff(%rax), %eax\n"
    for text, where, reason in (
        (load, fixed, None),
        (load.replace("%fs:state@tpoff", "%fs:40"), fixed, Reason.FORBIDDEN_INSTRUCTION),
        (load.replace("%fs:state@tpoff", "%gs:state@tpoff"), fixed, Reason.FORBIDDEN_INSTRUCTION),
        ("movq $0, %fs:0\n" + load, fixed, Reason.FORBIDDEN_INSTRUCTION),
        ("wrfsbase %rdi\n" + load, fixed, Reason.FORBIDDEN_INSTRUCTION),
        ("movq %fs:0, %rax\nret\n", plain, Reason.FORBIDDEN_INSTRUCTION),
        (load, dynamic, Reason.UNKNOWN_SYMBOL),
        (load.replace("%fs:state@tpoff", "state(%rip)"), fixed, Reason.UNKNOWN_SYMBOL),
        (ask + "popq %rbx\nret\n", fixed, Reason.UNKNOWN_SYMBOL),
        (ask + "popq %rbx\nret\n", dynamic, None),
        # In the image nothing of this call is left; in the program it keeps no such register.
        ("movl $5, %edx\n" + ask + "addl %edx, %eax\npopq %rbx\nret\n", dynamic, Reason.DEAD_READ),
        (ask.replace("pushq %rbx\n", "") + "ret\n", dynamic, Reason.STACK_DEPTH),
    ):
        where.workdir.mkdir(exist_ok=True)
        verdict = judge(offered(text), where).verdict
        is_screened = verdict.stage not in ("parse", "assemble", "screen")
        assert (None if is_screened else verdict.reason) is reason, (text, verdict)


def test_a_rewrite_may_not_need_more_alignment_than_the_unit_gives(tmp_path: Path) -> None:
    """The image puts data where it is just as aligned as gcc's text asks for."""
    source = "static __thread int table[64]; int target(int n) { table[n & 63]++; return table[5]; }"
    text = compiled(source, "-fno-pie", "-fcf-protection=none")
    built = bench(tmp_path, source, "-fno-pie", tests=[called(n) for n in range(40)])
    wide = "vmovdqa %fs:table@tpoff, %ymm0\nvzeroupper\n"
    body = Module.parse(text).functions["target"].body.text()
    for load, reason in ((wide.replace("qa", "qu"), None), (wide, Reason.FAULTED)):
        verdict = judge(offered(load + body), built).verdict
        assert verdict.reason is reason or (reason is None and verdict.stage == "contract"), verdict
