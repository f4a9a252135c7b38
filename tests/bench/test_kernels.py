"""The harness has to be right before anything that it says of gcc-llm counts: planted faults, and A/A."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gccllm.lab.bench import kernels, objects
from gccllm.lab.bench.kernels import Options, main, run_kernels
from gccllm.lab.bench.numbers import geometric_mean, median_interval


def fake_compiler(tmp_path: Path, edit_source: str = "", edit_assembly: str = "") -> str:
    """A compiler that is gcc but for a sed program over the source, or over gcc's assembly."""
    script = tmp_path / "fake-gcc"
    script.write_text(
        "#!/bin/sh\n"
        'for word; do case $word in *.c) source=$word;; esac; [ "$last" = -o ] && object=$word; last=$word; done\n'
        f"sed -e '{edit_source}' $source > {tmp_path}/edited.c\n"
        f"gcc -O3 -I{objects.KERNELS} -Dkern=$(basename $source .c) -S -o {tmp_path}/edited.s {tmp_path}/edited.c &&\n"
        f"sed -i -e '{edit_assembly}' {tmp_path}/edited.s && as -o $object {tmp_path}/edited.s\n"
    )
    script.chmod(0o755)
    return str(script)


def verdict(kernel: str, compiler: str) -> str:
    (result,) = run_kernels(Options(compiler=compiler, only=(kernel,), trials=300, timing=False))
    return result.equal


def test_the_same_compiler_twice_is_equal_unchanged_and_worth_exactly_nothing():
    (result,) = run_kernels(Options(compiler="gcc", only=("max_i32",), trials=50, rounds=3, placements=1))
    assert (result.equal, result.changed, result.admitted, result.speedup.median) == ("yes", False, False, 1.0)
    assert result.aa is not None


def test_another_vectorisation_is_equal():
    assert verdict("filter_gt", "gcc -mavx2") == "yes"


@pytest.mark.parametrize(
    ("kernel", "edit", "what"),
    [
        ("argmax_i32", "s/a\\[i\\] > a\\[k\\]/a[i] >= a[k]/", "NO: returned"),
        ("reverse_array", "s/n - 1; i < j/n - 1; i < j - 1/", "NO: memory"),
        ("prefix_sum", "s/o\\[i\\] = s;/o[i] = s; o[n] = 0;/", "died: a fault in ours"),
        ("sum_i32", "s/i < n/i <= n/", "died: a fault in ours"),
        ("caesar", "s/% 26/% 27/", "NO: memory"),
    ],
)
def test_a_planted_fault_in_the_source_is_seen(tmp_path, kernel, edit, what):
    assert verdict(kernel, fake_compiler(tmp_path, edit_source=edit)).startswith(what)


def test_a_contracted_multiplication_and_addition_is_seen():
    assert verdict("dot_f32", "gcc -mfma -ffp-contract=fast").startswith("NO: returned")


def test_a_clobbered_callee_saved_register_is_seen(tmp_path):
    clobber = fake_compiler(tmp_path, edit_assembly="s/^\\tret$/\\txorl %r13d, %r13d\\n\\tret/")
    assert verdict("max_i32", clobber).startswith("NO: convention")


def test_a_register_saved_and_restored_is_no_fault(tmp_path):
    harmless = fake_compiler(
        tmp_path, edit_assembly="s/^\\tret$/\\tpushq %r13\\n\\txorl %r13d, %r13d\\n\\tpopq %r13\\n\\tret/"
    )
    assert verdict("max_i32", harmless) == "yes"


def test_a_direction_flag_left_set_is_seen(tmp_path):
    assert verdict("max_i32", fake_compiler(tmp_path, edit_assembly="s/^\\tret$/\\tstd\\n\\tret/")).startswith(
        "NO: convention"
    )


def test_an_endless_loop_is_an_answer(tmp_path):
    compiler = fake_compiler(tmp_path, edit_assembly="s/^\\tret$/1:\\tjmp 1b/")
    run_kernels(Options(compiler=compiler, only=("max_i32",), trials=0, timing=False, work=tmp_path / "work"))
    assert kernels.check(tmp_path / "work/max_i32/placement0", 10, 1, 1, deadline_s=1).startswith("died: no end")


def test_main_writes_the_numbers_and_fails_on_a_difference(tmp_path, capsys):
    wrong = fake_compiler(tmp_path, edit_source="s/5381/5382/")
    argv = ["--compiler", wrong, "--only", "djb2", "--trials", "50", "--json", str(tmp_path / "out.json")]
    assert main(argv) == 1
    assert "1 unequal djb2" in capsys.readouterr().out
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["summary"]["unequal"] == ["djb2"]
    assert written["kernels"][0]["equal"].startswith("NO: returned")


def test_all_functions_are_placed_at_a_line(tmp_path):
    run_kernels(Options(compiler="gcc -Os", only=("heap_sort",), trials=1, timing=False, work=tmp_path))
    for symbol in ("kern__a", "kern__b", "kern__c"):
        assert objects.place_of(tmp_path / "heap_sort/placement0", symbol).offset % objects.LINE == 0


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=40))
def test_the_interval_encloses_the_median_and_comes_from_the_values(values):
    found = median_interval(values)
    assert found.low <= found.median <= found.high
    assert {found.low, found.high} <= set(values)


def test_seven_placements_give_their_range_as_the_interval():
    assert median_interval([1, 2, 3, 4, 5, 6, 7]).low == 1
    assert median_interval(list(range(101))).low > 35


def test_a_gain_and_the_same_loss_cancel_in_the_geometric_mean():
    assert math.isclose(geometric_mean([2.0, 0.5]), 1.0)
