"""Which texts the shim asks the engine about; and that no text, however odd, hurts it."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gccllm.assembly import Module
from gccllm.base.core import Decline
from gccllm.base.options import LAUNCHER_ADDS
from gccllm.unit import hotness, policy
from gccllm.unit.plan import unquote_options
from gccllm.unit.profile import write_profile
from tests.kit.settings import settings as defaults

from .conftest import Site

IDENT = b'\t.ident\t"GCC: (Debian 12.2.0-14) 12.2.0"\n'


def assemble(site: Site, text: bytes, *args: str, options: str = "'-O2' '-c'") -> subprocess.CompletedProcess[bytes]:
    """The shim alone, as gcc would start it; the real assembler is a program that accepts everything."""
    tools = site.here / "tools"
    if not tools.exists():
        tools.mkdir()
        (tools / "as").symlink_to("/bin/true")
    (site.src / "x.s").write_bytes(text)
    path = f"{tools}:{os.environ['PATH']}"
    return subprocess.run(
        [site.prefix / "libexec/gccllm/as", "--64", *args, "-o", "x.o", "x.s"],
        cwd=site.src,
        env=site.environment({"COLLECT_GCC_OPTIONS": options, "PATH": path}),
        capture_output=True,
    )


def is_asked(site: Site, text: str, *args: str, options: str = "'-O2' '-c'") -> bool:
    before = site.asked
    done = assemble(site, text.encode() + IDENT, *args, options=options)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return site.asked > before


LOOP = "f:\n.L2:\n\tdecl\t%edi\n\tjne\t.L2\n\tret\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LOOP, True),
        ("f:\n\tjne\t.L2\n.L2:\n\tret\n", False),
        ("f:\n.L2:\n\tret\ng:\n\tjmp\t.L2\n", False),
        ("f:\n\tcall\tf\n\tret\n", True),
        ("f:\n\tcall\tf@PLT\n\tret\n", True),
        ("f:\n\tjmp\tf\n", True),
        ("f:\n\tcall\tff\n\tret\n", False),
        ("ff:\n\tcall\tf\n\tret\n", False),
        ("f:\n.L3:\n\tcall\t.L3\n", False),
        ("f:\n.L3:\n\tloop\t.L3\n", True),
        ("f:\n.L3:\n\tjmp\t*.L4(,%rax,8)\n", False),
        ("f:\n.L3:\n\tleaq\t.L3(%rip), %rax\n", False),
        ("", False),
    ],
)
def test_a_jump_backwards_or_to_itself_is_what_counts(site: Site, text: str, expected: bool) -> None:
    assert is_asked(site, text) is expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("'-O2'", True),
        ("'-O'", True),
        ("'-Ofast'", True),
        ("'-O0' '-O1'", True),
        ("'-O2' '-O0'", False),
        ("'-Os'", False),
        ("'-Og' '-g'", False),
        ("'-g'", False),
        ("'-O2' '-o' '-O0'", True),
        ("'-D' '-O2'", False),
        ("'-O2' '-D' 'X='\\''-O0 -Os'\\'''", True),
        ("", False),
        ("'", False),
        ("\\", False),
    ],
)
def test_the_level_in_force_decides(site: Site, options: str, expected: bool) -> None:
    assert is_asked(site, LOOP, options=options) is expected


@pytest.mark.parametrize("args", [("-adhln=x",), ("-v",), ("--MD", "x.d"), ("--statistics",), ("y.s",), ("--version",)])
def test_a_call_that_is_about_the_text_itself_is_left_alone(site: Site, args: tuple[str, ...]) -> None:
    assert not is_asked(site, LOOP, *args)


def test_hand_written_text_is_left_alone(site: Site) -> None:
    assert assemble(site, LOOP.encode()).returncode == 0
    assert site.asked == 0


def is_worked_on(text: str, options: str) -> bool:
    """Whether the engine would find a function of the unit to work on."""
    words = [*unquote_options(options), *LAUNCHER_ADDS]
    try:
        policy.declines_unit(words, ("--64",), text, defaults())
    except Decline:
        return False
    return bool(hotness.rank(Module.parse(text), defaults())[0])


UNITS = (
    "int one(int a) { return a + 1; }",
    "__attribute__((hot)) int one(int a) { return a + 1; }",
    "int sum(const int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += p[i]; return s; }",
    "int depth(int n) { return n < 2 ? n : depth(n - 1) + 2 * depth(n - 2); }",
    "int odd(int n); int even(int n) { return n ? odd(n - 1) : 1; } int odd(int n) { return n ? even(n - 1) : 0; }",
    """int run(const char *p) { int s = 0; for (;;) switch (*p++) { case 0: return s; case 1: s++; break;
    case 2: s *= 3; break; case 3: s ^= 5; break; case 4: s -= 7; break; case 5: s <<= 1; break;
    default: s = ~s; } }""",
)


@pytest.mark.parametrize("level", ["-O0", "-O1", "-O2", "-O3", "-Os"])
@pytest.mark.parametrize("source", UNITS)
def test_whatever_the_engine_would_work_on_it_is_asked_about(site: Site, source: str, level: str) -> None:
    """The shim's own look may let through too much, never too little."""
    argv = ["gcc", level, *LAUNCHER_ADDS, "-S", "-o", "-", "-xc", "-"]
    text = subprocess.run(argv, input=source, capture_output=True, text=True, check=True).stdout
    options = f"'{level}' '-D' '-O0'"
    assert is_asked(site, text, options=options) >= is_worked_on(text, options)


NO_LOOP = "\t.type\tone, @function\none:\n\tret\n"


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["one"], True), (["on", "oneself", "one.part.0"], False), ([f"f{i}" for i in range(5_000)], False)],
)
def test_a_function_of_the_profile_needs_no_loop(site: Site, names: list[str], expected: bool) -> None:
    (site.src / "gccllm.toml").write_text("")
    assert not is_asked(site, NO_LOOP)
    write_profile(site.src / "gccllm.profile", Counter({("program", name): 1 for name in names}), ["program"], "perf")
    assert is_asked(site, NO_LOOP) is expected


def test_a_profile_needs_no_project_when_it_is_named(site: Site) -> None:
    write_profile(site.src / "hot.json", Counter({("program", "one"): 1}), ["program"], "perf")
    assert not is_asked(site, NO_LOOP)
    site.settings["GCCLLM_PROFILE"] = "hot.json"
    assert is_asked(site, NO_LOOP)


def test_a_pipe_in_place_of_a_profile_does_not_make_a_build_wait(site: Site) -> None:
    (site.src / "gccllm.toml").write_text("")
    os.mkfifo(site.src / "gccllm.profile")
    assert not is_asked(site, NO_LOOP)


@pytest.mark.parametrize("setting", ["GCCLLM_INCLUDE", "GCCLLM_ONLY"])
def test_a_function_that_a_setting_names_needs_no_loop(site: Site, setting: str) -> None:
    site.settings[setting] = "one"
    assert is_asked(site, NO_LOOP)


pieces = st.sampled_from(
    [
        b"\n",
        b"\t",
        b" ",
        b":",
        b".L1",
        b"f",
        b"jmp",
        b"call",
        b"loop",
        b"\0",
        b"\xff",
        b"@PLT",
        b"\\",
        b"'",
        b'"',
        IDENT,
    ]
)
texts = st.one_of(st.binary(max_size=300), st.lists(pieces, max_size=60).map(b"".join))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=texts, options=st.text(alphabet="-O2'\\ ab", max_size=20))
def test_no_text_hurts_it(sanitized: Path, tmp_path: Path, text: bytes, options: str) -> None:
    place = tmp_path / "fuzz"
    if place.exists():
        site = Site.__new__(Site)
        site.prefix, site.here, site.settings = sanitized, place, {}
    else:
        place.mkdir()
        site = Site(sanitized, place)
    done = assemble(site, text + IDENT, options=f"'-O2' {options}")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
