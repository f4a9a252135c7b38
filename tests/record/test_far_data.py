"""A function that reads another unit's table: its recorded calls hold the table, so that it can be tested at all."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from gccllm.assembly import Module
from gccllm.base.core import Decline, FarData
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.harvest.dwarf import signature_of
from gccllm.harvest.far import far_symbols, with_far
from gccllm.sandbox.image import build_image
from tests.kit.recording import environment, gccllm

TABLE = """
#include <stdint.h>
uint32_t table[256]; int calls; const char *const greeting = "far";
void fill(void) { for (uint32_t i = 0; i < 256; i++) { uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? 0x82F63B78u ^ c >> 1 : c >> 1; table[i] = c; } }
"""
USER = """
#include <stdint.h>
#include <stdio.h>
extern uint32_t table[256]; extern int calls; void fill(void);
__attribute__((noinline)) uint32_t sum(const uint8_t *p, long n) {
    uint32_t c = ~0u; calls++;
    for (long i = 0; i < n; i++) c = table[(c ^ p[i]) & 255] ^ c >> 8;
    return ~c; }
int main(void) { static uint8_t data[400]; uint32_t all = 0; fill();
    for (int i = 0; i < 400; i++) data[i] = i * 7 + i / 31;
    for (int n = 0; n < 300; n++) all = all * 3 + sum(data + n % 100, n);
    printf("%u %d\\n", all, calls); return 0; }
"""


@pytest.fixture(scope="module", params=[("-fno-pie", "-no-pie"), ("-fPIC", "-pie")], ids=["fixed", "pie"])
def recorded(request: pytest.FixtureRequest, prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program, built in mode record and run; its calls are in `store`."""
    place = tmp_path_factory.mktemp("far")
    (place / "user.c").write_text(USER)
    (place / "table.c").write_text(TABLE)
    flags = ["-O3", request.param[0], request.param[1]]
    compiler = str(prefix / "bin" / "gcc-llm")
    for output, env in (("program", environment(place, GCCLLM_MODE="record")), ("plain", environment(place))):
        command = [compiler if output == "program" else "gcc", *flags, "-o", output, "user.c", "table.c"]
        subprocess.run(command, cwd=place, env=env, check=True)
    (place / "flags").write_text(" ".join(flags[:2]))
    ran = gccllm(place, "record", "--", "./program")
    plain = subprocess.run(["./plain"], cwd=place, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, plain.stdout), ran.stderr
    return place


def test_recorded_calls_replay_with_the_other_units_table(recorded: Path) -> None:
    (one,) = json.loads(gccllm(recorded, "tests", "show", "sum", "--json").stdout)["functions"]
    assert one["calls"] == 300
    assert len(one["tests"]) > 5
    assert all(test["replays"] for test in one["tests"])


def test_the_function_is_worked_on(recorded: Path) -> None:
    flags = (recorded / "flags").read_text().split()
    ran = gccllm(recorded, "explain", "--work", "--json", "user.c", *flags, GCCLLM_PROPOSERS="recompile")
    assert ran.returncode == 0, ran.stderr
    found = {row["function"]: row for row in json.loads(ran.stdout)["functions"]}
    assert found["sum"]["reason"] in (None, "nothing_faster", "noisy"), found["sum"]


def test_without_recorded_calls_it_is_declined(recorded: Path) -> None:
    flags = (recorded / "flags").read_text().split()
    ran = gccllm(recorded, "explain", "--work", "--json", "user.c", *flags, GCCLLM_CACHE_DIR=str(recorded / "other"))
    found = {row["function"]: row for row in json.loads(ran.stdout)["functions"]}
    assert found["sum"]["reason"] == "far_data"


def test_an_image_has_room_for_what_it_is_told_of(tmp_path: Path) -> None:
    text = "\t.text\n\t.globl f\nf:\n\tmovl there(%rip), %eax\n\tret\n"
    image = build_image(tmp_path, text, Toolchain.find(), {"there": FarData(40)})
    assert image.sizes["there"] == 40
    assert image.writable[0] <= image.symbols["there"] < image.writable[1]
    with pytest.raises(Decline) as refused:
        build_image(tmp_path, text, Toolchain.find(), {})
    assert refused.value.reason is Reason.FAR_DATA


def test_only_data_with_a_size_stands_in(tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text(
        "extern int known[4], open[]; extern volatile int changing; extern __thread int own; extern int weak"
        " __attribute__((weak)); static int mine; int f(int i) { mine++;"
        " return known[i] + open[i] + (&weak ? weak : 0); }"
        " int g(void) { return changing + known[1]; } int h(void) { return own + known[2]; }"
    )
    tools = Toolchain.find()
    assert tools.compile(["-O2", "-S", "-o", str(tmp_path / "a.s"), str(source)]).ok
    assert tools.compile(["-O2", "-g", "-c", "-o", str(tmp_path / "a.o"), str(source)]).ok
    module = Module.parse((tmp_path / "a.s").read_text())
    found = {name: far_symbols(with_far(module, name, signature_of(tmp_path / "a.o", name))) for name in "fgh"}
    assert found == {"f": (("known", 16),), "g": (("known", 16),), "h": (("known", 16), ("own", 4))}
