"""The text of a recorded unit assembles, links in every way, unwinds, and keeps gcc's symbols."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile

from gccllm.assembly import BodyError, Module
from gccllm.pipeline import defined_symbols
from gccllm.record.stub import ENTRY, OWN, data_symbols, entry_line, grouped, recorded_text, recorder_text
from tests.kit.recorder import TOOLS, Workplace, stubs_of

UNIT = r"""
extern int outside[4];
int common_one[8];
static long table[3] = {1, 2, 3};
static const short squares[5] = {0, 1, 4, 9, 16};
__thread int mine;
__attribute__((noinline)) static long inner(long n) { return n < 1 ? table[1] : n * inner(n - 1); }
long sum(const long *a, int n) {
    long s = 0;
    for (int i = 0; i < n; i++)
        s += a[i] + table[i % 3] + squares[i % 5] + common_one[i & 7];
    return s + inner(n);
}
void early(char *p) {
    do
        *p += 1;
    while (*++p);
}
int switches(const int *p, int n) {
    int s = 0;
    for (int i = 0; i < n; i++)
        switch (p[i]) {
        case 0: s += 3; break;
        case 1: s *= 5; break;
        case 2: s ^= outside[1]; break;
        case 3: s -= 9; break;
        case 4: s <<= 1; break;
        case 5: s += p[0]; break;
        }
    return s;
}
"""
CPP = r"""
template <class T> struct box {
    static T seen;
    __attribute__((noipa)) T add(const T *p, int n) {
        static T kept = 3;
        T s = 0;
        for (int i = 0; i < n; i++)
            s += p[i] + kept++ + seen++;
        return s;
    }
};
template <class T> T box<T>::seen = 2;
long UNIT(const long *p, int n) { return box<long>().add(p, n) + box<int>().add((const int *)p, n); }
"""


def compiled(source: str, *flags: str, language: str = "c") -> Module:
    ran = TOOLS.compile(["-O2", *flags, "-S", "-x", language, "-", "-o", "-"], stdin=source.encode())
    assert ran.ok, ran.err
    return Module.parse(ran.out.decode("latin-1"))


@pytest.mark.parametrize(
    "flags",
    [
        (), ("-g",), ("-fcf-protection",), ("-ffunction-sections", "-fdata-sections"), ("-fPIC",), ("-fno-pic",),
        ("-O3", "-g3", "-fPIC", "-fcf-protection=full"), ("-fno-asynchronous-unwind-tables",), ("-fno-plt", "-fPIE"),
        ("-fno-dwarf2-cfi-asm",), ("-fvisibility=hidden", "-fPIC", "-gdwarf-4"), ("-O1", "-fno-omit-frame-pointer"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_it_assembles_and_keeps_the_symbols(tmp_path: Path, flags: tuple[str, ...]) -> None:
    for language, source in (("c", UNIT), ("c++", CPP.replace("UNIT", "unit"))):
        module = compiled(source, *flags, language=language)
        stubs = stubs_of(module)
        assert {stub.function.name for stub in stubs} >= ({"sum", "early", "switches"} if language == "c" else set())
        assert stubs
        text = recorded_text(module, stubs, recorder_text(TOOLS.gcc))
        assert defined_symbols(Module.parse(text)) == defined_symbols(module)
        ran = TOOLS.assemble(text, tmp_path / "unit.o")
        assert (ran.ok, ran.err) == (True, "")
        assert text.count(f"\tcall\t{ENTRY}") == len(stubs)


def test_without_the_added_lines_it_is_gccs_text() -> None:
    module = compiled(UNIT, "-g")
    text = recorded_text(module, stubs_of(module), "")
    for pattern in (
        r"\tsubq\t\$1, \.Lgccllm_record_\d+\(%rip\)\n\tjs\t\.Lgccllm_record_slow_\d+\n\.Lgccllm_record_resume_\d+:\n",
        r"\t\.pushsection\t\.(text\.unlikely|data\.rel)\.gccllm_record\.(.|\n)*?\t\.popsection\n",
    ):
        text = re.sub(pattern, "", text)
    assert text == module.text()


def test_the_stub_counts_calls_not_turns_of_a_loop_that_starts_the_function() -> None:
    module = compiled(UNIT, "-Os", "-fcf-protection=branch", "-fno-align-loops")
    function = module.functions["early"]
    at = entry_line(function)
    labels = [at for at, line in enumerate(module.lines) if function.first < at < function.last and line.endswith(":")]
    targets = [n for n in labels if any(module.lines[n][:-1] in line for line in function.lines if "\tj" in line)]
    assert module.lines[at - 1] == "\tendbr64"
    assert min(targets) >= at


def test_the_data_that_a_descriptor_names() -> None:
    module = compiled(UNIT)
    assert data_symbols(module, module.functions["sum"]) == (("common_one", 32), ("squares", 10), ("table", 24))
    assert data_symbols(module, module.functions["switches"]) == ()  # neither its jump table nor other units' data
    assert data_symbols(module, module.functions["early"]) == ()


@pytest.mark.parametrize(
    "link", [(), ("-no-pie",), ("-static",), ("-static-pie",), ("-Wl,--gc-sections",)], ids=" ".join
)
def test_many_units_have_one_recorder(tmp_path: Path, link: tuple[str, ...]) -> None:
    work = Workplace(tmp_path)
    flags = ("-fno-pic",) if "-no-pie" in link else ("-fPIE", "-ffunction-sections")
    main = (
        "#include <stdio.h>\nlong a(const long *, int), b(const long *, int);\n"
        'int main(void) { long v[9] = {1, 2, 3}; printf("%ld\\n", a(v, 9) + b(v, 9)); return 0; }'
    )
    objects = [
        work.compile(CPP.replace("UNIT", name).replace("long " + name, f'extern "C" long {name}'), *flags, name=name,
                     language="c++")
        for name in ("a", "b")
    ]  # fmt: skip
    program = work.link(*objects, work.compile(main, *flags, name="main"), *link, compiler="g++")
    with program.open("rb") as stream:
        symbols = [s for s in ELFFile(stream).get_section_by_name(".symtab").iter_symbols() if s.name == ENTRY]
    assert len(symbols) == 1
    ran = work.run(program)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == work.run(program, record=False).out
    merged = [count for count in ran.every_count if "add" in count.name]
    assert sorted(count.calls for count in merged) == [2, 2]  # one descriptor for both units' copies
    assert all(count.captured == 2 for count in merged)


def test_sections_of_a_dropped_function_are_dropped_with_it(tmp_path: Path) -> None:
    """`gone` needs what no unit has; --gc-sections must still be able to drop it."""
    work = Workplace(tmp_path)
    source = r"""
extern long missing(long);
long gone(long n) { long s = 0; for (long i = 0; i < n; i++) s += missing(i); return s; }
__attribute__((noipa)) long kept(const long *p, long n) {
    long s = 0;
    for (long i = 0; i < n; i++)
        s += p[i];
    return s;
}
int main(int argc, char **argv) { long v[3] = {1, 2, 3}; return (int)kept(v, 3 * argc); }
"""
    program = work.link(work.compile(source, "-ffunction-sections"), "-Wl,--gc-sections")
    ran = work.run(program)
    assert ran.code == 6
    assert ran.counts["kept"].calls == 1


def test_the_unwind_table_says_where_the_caller_is(tmp_path: Path) -> None:
    """At the resume label and in the cold half of the stub, by the table that the assembler made."""
    module = compiled(UNIT)
    assert TOOLS.assemble(recorded_text(module, stubs_of(module), recorder_text(TOOLS.gcc)), tmp_path / "unit.o").ok
    offsets: list[list[int]] = []
    with (tmp_path / "unit.o").open("rb") as stream:
        for entry in ELFFile(stream).get_dwarf_info().EH_CFI_entries():
            if isinstance(entry, FDE):
                offsets.append([row["cfa"].offset for row in entry.get_decoded().table])
    assert offsets.count([8, 16, 8]) >= len(stubs_of(module))
    assert all(rows[0] == 8 for rows in offsets)


def test_a_debugger_sees_the_callers_of_a_sampled_function(tmp_path: Path) -> None:
    """backtrace() from a callee of a recorded function, with a stub in every frame, is that of the plain program."""
    source = r"""
#include <execinfo.h>
#include <stdio.h>
static int depth;
__attribute__((noipa)) long down(long n) {
    void *frames[64];
    if (n == 0)
        return depth = backtrace(frames, 64);
    return down(n - 1) + 1;
}
int main(void) { long r = down(10); printf("%ld %d\n", r, depth); return 0; }
"""
    work = Workplace(tmp_path)
    recorded, plain = work.program(source, "-fno-optimize-sibling-calls")
    assert work.run(recorded).out == work.run(plain, record=False).out


def test_a_recorder_that_needs_a_library_or_has_data_is_refused() -> None:
    for source in ("int f(void); int g(void) { return f(); }", "int kept = 3;"):
        ran = TOOLS.compile(["-O2", "-S", "-x", "c", "-", "-o", "-"], stdin=source.encode())
        with pytest.raises(ValueError, match=r"the runtime (needs f|has a section .data)"):
            grouped(ran.out.decode("latin-1"), ENTRY, OWN)


def test_what_cannot_hold_a_stub_is_refused() -> None:
    module = compiled(UNIT)
    several = Module.parse(module.text().replace("\nsum:\n", "\nsum: nop; nop\n"))
    with pytest.raises(BodyError, match="several statements"):
        entry_line(several.functions["sum"])
