"""What gcc's options mean for a rewrite: one table, asked of every option of a compile.

    harmless   names files, prints, warns, or is seen by the preprocessor alone: what it changes is in the text and the types
    meaning    decides code, or what code may rely on: part of the situation, and so of the key
    (none)     nobody has said what it does to a rewrite: the unit is left to gcc

A row also says whether side compiles repeat its options, and which of them clang knows. `wrappers/shared.h` is made
from the lists of names below, for the C side.

`policy.UNIT_ROWS` has the options that are known to forbid a rewrite. An option that is new, misspelt here or simply
forgotten is in no row, so it declines: the safe side is the default.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple


class Effect(enum.Enum):
    HARMLESS = "harmless"
    MEANING = "meaning"


class Repeats(enum.Enum):
    """Whether a side compile gets an option of the build."""

    ALWAYS = "always"
    UNLESS_TRAPPING = "unless it traps"
    """Not where undefined behaviour traps: it collides, or makes other code."""
    NEVER = "never"


WITH_WORD = frozenset({
    "--assert", "--define-macro", "--entry", "--for-assembler", "--for-linker", "--force-link", "--imacros", "--include",
    "--include-directory", "--include-directory-after", "--include-prefix", "--include-with-prefix",
    "--include-with-prefix-after", "--include-with-prefix-before", "--language", "--library-directory", "--output",
    "--param", "--prefix", "--specs", "--sysroot", "--undefine-macro", "-A", "-B", "-D", "-F", "-I", "-L", "-MF", "-MJ",
    "-MQ", "-MT", "-T", "-Tbss", "-Tdata", "-Ttext", "-U", "-Xassembler", "-Xlinker",
    "-Xpreprocessor", "-aux-info", "-dumpbase", "-dumpbase-ext", "-dumpdir", "-e", "-h", "-idirafter", "-imacros",
    "-imultiarch", "-imultilib", "-include", "-iprefix", "-iquote", "-isysroot", "-isystem", "-iwithprefix",
    "-iwithprefixbefore", "-l", "-o", "-specs", "-u", "-wrapper", "-x", "-z",
})  # fmt: skip
"""Options whose argument is, or may be, the next word: of the driver too, which takes long names for some."""

NAMES_FILE = ("-MD", "-MF", "-MMD", "-MQ", "-MT", "-aux-info", "-dumpbase", "-dumpbase-ext", "-dumpdir", "-o")
"""Options that only name files: the same text compiled to another place is the same unit."""

PRIVATE = ("ipa-ra", "ipa-stack-alignment")
"""What gcc lets callers in a unit know of a function's registers and stack."""
LAUNCHER_ADDS = tuple(f"-fno-{name}" for name in PRIVATE)
"""What the launcher puts behind an -O option against that."""

_ISA = (
    r"3dnow|3dnowa|abm|adx|aes|avx\w*|bmi|bmi2|cldemote|clflushopt|clwb|clzero|cmpccxadd|crc32|cx16|enqcmd|f16c|fma|fma4"
    r"|fsgsbase|fxsr|gfni|hle|hreset|lwp|lzcnt|mmx|movbe|movdir64b|movdiri|mwaitx|pclmul|pconfig|pku|popcnt|prefetchi"
    r"|prefetchwt1|prfchw|ptwrite|raoint|rdpid|rdrnd|rdseed|rtm|sahf|serialize|sgx|sha|sha512|shstk|sm3|sm4|sse3|sse4"
    r"|sse4\.1|sse4\.2|sse4a|ssse3|tbm|tsxldtrk|uintr|vaes|vpclmulqdq|waitpkg|wbnoinvd|widekl|kl|xop|xsave\w*|amx-\w+"
)
# Passes of gcc's optimiser: which code is made of the same meaning.
_PASSES = (
    r"aggressive-loop-optimizations|align-\w+|allocation-dce|auto-inc-dec|avoid-store-forwarding|bit-tests|branch-\w[\w-]*|btr-bb-exclusive"
    r"|caller-saves|code-hoisting|combine-stack-adjustments|compare-elim|conserve-stack|cprop-registers|crossjumping"
    r"|cse-[\w-]+|dce|defer-pop|delayed-branch|devirtualize[\w-]*|dse|early-inlining|expensive-optimizations|ext-dce"
    r"|finite-loops|fold-mem-offsets|fold-simple-inlines|forward-propagate|function-cse|gcse[\w-]*|graphite[\w-]*"
    r"|guess-branch-probability|hoist-adjacent-loads|if-conversion2?|indirect-inlining|inline[\w-]*|ira-[\w-]+"
    r"|isolate-erroneous-paths-\w+|ivopts|jump-tables|keep-\w[\w-]*|late-combine-instructions|limit-function-alignment|live-range-shrinkage"
    r"|loop-[\w-]+|lra-remat|malloc-dce|merge-(all-)?constants|modulo-sched[\w-]*|move-loop-\w+|optimize-\w[\w-]*"
    r"|partial-inlining|peel-loops|peephole2?|predictive-commoning|prefetch-loop-arrays|printf-return-value"
    r"|rename-registers|ree|reorder-\w[\w-]*|rerun-[\w-]+|reschedule-[\w-]+|sched[\w-]*|schedule-[\w-]+|section-anchors"
    r"|sel-sched[\w-]*|selective-scheduling2?|shrink-wrap[\w-]*|simd-cost-model|split-[\w-]+|ssa-[\w-]+|stack-reuse"
    r"|stdarg-opt|store-merging|thread-jumps|toplevel-reorder|tracer|tree-[\w-]+|unit-at-a-time|unroll-[\w-]+"
    r"|unswitch-loops|variable-expansion-in-unroller|vect-cost-model|version-loops-for-strides|vpt|web|whole-program"
)
# Of gcc's passes between functions those that say how a function behaves: a rewrite behaves alike. What they may say of
# its registers and stack is switched off by the launcher (PRIVATE).
_BEHAVIOUR = (
    r"bit-cp|cp|cp-clone|icf|icf-functions|icf-variables|modref|profile|pta|pure-const|reference|reference-addressable"
    r"|reorder-for-locality"
    r"|sra|strict-aliasing|vrp"
)
_LANGUAGE = (
    r"access-control|aligned-new|allow-store-data-races|argument-[\w-]+|asm|associative-math|asynchronous-unwind-tables"
    r"|builtin[\w-]*|char8_t|check-new|common|concepts[\w-]*|constexpr-[\w-]+|coroutines|cx-[\w-]+"
    r"|delete-dead-exceptions|delete-null-pointer-checks|dollars-in-identifiers|elide-constructors|enforce-eh-specs"
    r"|exceptions|excess-precision|ext-numeric-literals|extern-tls-init|fast-math|finite-math-only|float-store"
    r"|fp-contract|fp-int-builtin-inexact|gnu-keywords|gnu-unique|gnu89-inline|hosted|implicit-[\w-]+"
    r"|lax-vector-conversions|lifetime-dse|math-errno|ms-extensions|new-[\w-]+|nonansi-builtins|nothrow-opt"
    r"|omit-frame-pointer|openmp|openmp-simd|operator-names|pack-struct|permissive|plan9-extensions|pic|PIC|pie|PIE|plt"
    r"|reciprocal-math|rounding-math|rtti|semantic-interposition|short-enums|short-wchar|signaling-nans"
    r"|signed-bitfields|signed-char|signed-zeros|single-precision-constant|sized-deallocation|stack-clash-protection"
    r"|strict-aliasing|strict-enums|strict-flex-arrays|strict-overflow|strict-volatile-bitfields|strong-eval-order|template-[\w-]+"
    r"|threadsafe-statics|trapping-math|trampolines|unconstrained-commons|unsafe-math-optimizations|unsigned-bitfields"
    r"|unsigned-char|unwind-tables|use-cxa-atexit|visibility[\w-]*|weak|wrapv|wrapv-pointer|zero-initialized-in-bss"
)
_TARGET = (
    r"64|accumulate-outgoing-args|align-stringops|avx256-split-unaligned-(load|store)|cet-switch|cld|direct-extern-access"
    r"|fancy-math-387|fused-madd|hard-float|ieee-fp|inline-all-stringops|inline-stringops-dynamically"
    r"|omit-leaf-frame-pointer|push-args|red-zone|relax-cmpxchg-loop|stv|tls-direct-seg-refs|vect8-ret-in-mem|vzeroupper"
    r"|sse|sse2|80387|8bit-idiv|glibc|gather|scatter|prefer-avx128|partial-vector-fp-math|sse2avx"
)

_CLANG_LANGUAGE = (
    r"-f(common|gnu89-inline|openmp-simd|rounding-math|(no-)?semantic-interposition|short-enums|(un)?signed-(bitfields|char)"
    r"|(no-)?strict-aliasing|(no-)?pi[ce]|(no-)?PI[CE]|(no-)?wrapv|no-(builtin.*|common|delete-null-pointer-checks"
    r"|math-errno|omit-frame-pointer|plt|strict-overflow)|visibility=.*|stack-clash-protection.*)"
)


class Row(NamedTuple):
    pattern: str
    """Full match."""
    effect: Effect
    example: str
    repeats: Repeats = Repeats.ALWAYS
    clang: str = ""
    """Those of the row that clang knows by the same name and meaning, and that decide the code it makes."""


ROWS: tuple[Row, ...] = (
    Row(r"-[cSEQHvs]|-###|-pipe|-pass-exit-codes|-fsyntax-only|-M.*|-o.*|-x.*|-wrapper|-aux-info|-d.*|-save-temps.*|-time.*",
        Effect.HARMLESS, "-o", Repeats.NEVER),
    Row(r"-[ADUIi].*|-B.*|-Xpreprocessor|-nostdinc.*|-P|-C|-CC|-undef|-trigraphs|-remap|-traditional.*|-fpch.*|-finput-charset=.*"
        r"|--sysroot=.*|-(no-)?integrated-cpp|-ftrack-macro-expansion.*|-f(no-)?working-directory|-fdirectives-only|-fpreprocessed"
        r"|-fmax-include-depth=.*|-f(no-)?canonical-system-headers|-f\w+-prefix-map=.*|-(no-)?canonical-prefixes",
        Effect.HARMLESS, "-DNDEBUG", clang=r"-[DIU].*|-include|-imacros|-isystem|-iquote|-idirafter|-nostdinc"),
    Row(r"-[lLTeuz].*|-r|-rdynamic|-shared(-libgcc)?|-static.*|-(no-)?pie|-no(startfiles|defaultlibs|stdlib|libc)"
        r"|-X(assembler|linker)|-fuse-.*|-W[alp],.*|-Werror(=.*)?|-f(no-)?diagnostics-.*", Effect.HARMLESS, "-lm", Repeats.NEVER),
    Row(r"-W.*|-pedantic.*|-f(no-)?analyzer[\w-]*(=.*)?", Effect.HARMLESS, "-Wall", Repeats.UNLESS_TRAPPING),
    Row(r"-w|-f(no-)?(diagnostics|message-length|show-column|max-errors|tabstop|permitted)[\w-]*(=.*)?", Effect.HARMLESS, "-w"),
    Row(r"-g.*|-f(no-)?(dump|opt-info|verbose-asm|stack-usage|callgraph-info|time-report)[\w-]*(=.*)?",
        Effect.HARMLESS, "-g", Repeats.NEVER),
    Row(r"-frandom-seed=.*", Effect.HARMLESS, "-frandom-seed=1", Repeats.UNLESS_TRAPPING),
    Row(r"-f(no-)?(var-tracking|debug|dwarf2|eliminate|emit-|ident|record-gcc-switches|save-optimization-record|mem-report|stats"
        r"|random-seed|compare-debug|checking|report-bug|merge-debug-strings)[\w-]*(=.*)?", Effect.HARMLESS, "-fno-ident"),
    Row(r"-O.*", Effect.MEANING, "-O3", Repeats.UNLESS_TRAPPING),
    Row(r"-specs=.*|-f(no-)?(lto|fat-lto-objects).*|-fprofile-use.*|-fauto-profile.*", Effect.MEANING, "-flto", Repeats.NEVER),
    Row(r"-std=.*|-ansi|-pthread|--param(=.*)?", Effect.MEANING, "-std=c11", clang=r"-std=.*|-ansi|-pthread"),
    Row(rf"-f(no-)?({_PASSES})(=.*)?", Effect.MEANING, "-fno-tree-vectorize"),
    Row(rf"-fipa-({_BEHAVIOUR}|ra|stack-alignment)", Effect.MEANING, "-fipa-pta", Repeats.UNLESS_TRAPPING),
    Row(rf"-fno-ipa-({_BEHAVIOUR}|ra|stack-alignment)", Effect.MEANING, "-fno-ipa-cp"),
    Row(r"-f(function-sections|data-sections|stack-protector[\w-]*|stack-clash-protection)"
        r"|-fprofile-(correction|values|partial-training|dir|reproducible|update).*", Effect.MEANING, "-ffunction-sections",
        Repeats.UNLESS_TRAPPING, _CLANG_LANGUAGE),
    Row(rf"-f(no-)?({_LANGUAGE})(=.*)?", Effect.MEANING, "-fwrapv", clang=_CLANG_LANGUAGE),
    Row(r"-fno-(function-sections|data-sections|stack-protector[\w-]*|auto-profile.*|cf-protection)|-fcf-protection(=.*)?"
        r"|-fzero-call-used-regs=.*|-ftrivial-auto-var-init=.*|-ftls-model=.*|-fabi-(compat-)?version=.*"
        r"|-f(exec|wide-exec)-charset=.*", Effect.MEANING, "-fcf-protection=full",
        clang=r"-fcf-protection.*|-ftrivial-auto-var-init=.*"),
    Row(r"-fno-(profile-arcs|profile-generate|test-coverage|sanitize=.*|split-stack|stack-check|stack-limit|trapv|harden-\w[\w-]*"
        r"|instrument-functions|non-call-exceptions)", Effect.MEANING, "-fno-trapv"),
    Row(rf"-m(no-)?({_ISA})", Effect.MEANING, "-mavx2",
        clang=r"-m(adx|aes|avx|bmi|f16c|fma|gfni|lzcnt|movbe|no-|pclmul|popcnt|sha|sse).*"),
    Row(rf"-m(no-)?({_TARGET})", Effect.MEANING, "-mred-zone", clang=r"-m(64|no-.*|sse.*|avx.*)"),
    Row(r"-m(arch|tune|cpu|tune-ctrl|branch-cost|prefer-vector-width|tls-dialect|stringop-strategy|mem\w+-strategy|move-max"
        r"|store-max|large-data-threshold|malign-data|align-data|recip|veclibabi|dispatch-scheduler)(=.*)?|-mno-recip"
        r"|-mfpmath=sse|-mcmodel=small|-mharden-sls=.*|-mlong-double-80|-mabi=sysv|-m128bit-long-double"
        r"|-mindirect-branch=keep|-mfunction-return=keep|-mstack-protector-guard=tls|-masm=att", Effect.MEANING,
        "-march=x86-64-v3", clang=r"-march=(?!native$).*|-mharden-sls=.*|-mno-.*"),
)  # fmt: skip
"""The first row that matches decides."""


@lru_cache(maxsize=4096)
def _row(option: str) -> Row | None:
    return next((row for row in ROWS if re.fullmatch(row.pattern, option)), None)


def effect_of(option: str) -> Effect | None:
    """What an option means for a rewrite; None when no row says."""
    return row.effect if (row := _row(option)) else None


def _chosen(options: Sequence[str], is_wanted: Callable[[str], bool]) -> tuple[str, ...]:
    """The options that are wanted, in order, each with its separate argument."""
    kept: list[str] = []
    for option, word in words_of(options):
        if is_wanted(option):
            kept += [option, word] if option in WITH_WORD else [option]
    return tuple(kept)


def repeated(options: Sequence[str]) -> tuple[str, ...]:
    """Those for a side compile: no inputs, outputs, dependencies, debugging, linking. What no row knows stays."""
    return _chosen(options, lambda option: (row := _row(option)) is None or row.repeats is not Repeats.NEVER)


def for_trapping(flags: Sequence[str]) -> tuple[str, ...]:
    """Those of `repeated` that can stand in a compile that traps on undefined behaviour (`harvest.side`)."""
    return _chosen(flags, lambda option: (row := _row(option)) is None or row.repeats is Repeats.ALWAYS)


def for_clang(flags: Sequence[str]) -> tuple[str, ...]:
    """Those of `repeated` that clang shall see; all others are dropped."""
    return _chosen(flags, lambda option: bool((row := _row(option)) and re.fullmatch(row.clang, option)))


def words_of(options: Sequence[str]) -> list[tuple[str, str]]:
    """(option, its separate argument or "") of COLLECT_GCC_OPTIONS; words that are no options are left out."""
    found: list[tuple[str, str]] = []
    words = iter(options)
    for word in words:
        if word in WITH_WORD:
            found.append((word, next(words, "")))
        elif word.startswith("-") and len(word) > 1:
            found.append((word, ""))
    return found


def unknown(options: Sequence[str]) -> tuple[str, ...]:
    """The options that no row knows."""
    return tuple(option for option, _ in words_of(options) if effect_of(option) is None)


def meanings(options: Sequence[str]) -> tuple[str, ...]:
    """The options that a rewrite may rely on or has to respect, in order: later ones win over earlier ones."""
    return tuple(
        f"{option} {word}".rstrip() for option, word in words_of(options) if effect_of(option) is Effect.MEANING
    )


def is_in_force(options: Sequence[str], name: str, *, default: bool) -> bool:
    """Whether `-f<name>` is on: the last of it and of `-fno-<name>` decides."""
    state = default
    for option, _ in words_of(options):
        if option in (f"-f{name}", f"-fno-{name}"):
            state = option == f"-f{name}"
    return state


def _is_strict(options: Sequence[str], name: str, loosened_by: Sequence[str]) -> bool:
    """Whether `-f<name>` is in force, which is on unless said otherwise, or an option of `loosened_by` or -Ofast is on.

    Said by name, it is so whatever implies otherwise: gcc does not ask for the order of the two.
    """
    words = [option for option, _ in words_of(options)]
    if f"-f{name}" in words or f"-fno-{name}" in words:
        return is_in_force(options, name, default=True)
    return not _is_ofast(words) and not any(is_in_force(options, one, default=False) for one in loosened_by)


def _is_ofast(words: Sequence[str]) -> bool:
    levels = [option for option in words if option.startswith("-O")]
    return bool(levels) and levels[-1] == "-Ofast" and "-fno-fast-math" not in words


_LOOSE = ("fast-math", "unsafe-math-optimizations", "associative-math", "reciprocal-math", "finite-math-only")


def traps_floats(options: Sequence[str]) -> bool:
    """Whether floating-point exception flags mean something (-ftrapping-math, gcc's default)."""
    return _is_strict(options, "trapping-math", ("fast-math", "unsafe-math-optimizations"))


def changes_floats(options: Sequence[str]) -> bool:
    """Whether floating-point results may depend on what gcc optimises: -ffast-math, -Ofast or a part of them, or sums in
    x87 registers (-mfpmath=387), which round when they leave them."""
    words = [option for option, _ in words_of(options)]
    if any(word.startswith("-mfpmath=") and word != "-mfpmath=sse" for word in words):
        return True
    is_loose = any(is_in_force(words, one, default=False) for one in _LOOSE)
    return is_loose or _is_ofast(words) or not is_in_force(words, "signed-zeros", default=True)


def sets_errno(options: Sequence[str]) -> bool:
    """Whether library functions report errors in errno (-fmath-errno, gcc's default)."""
    return _is_strict(options, "math-errno", ("fast-math",))


def assumes_types(options: Sequence[str]) -> bool:
    """Whether gcc assumes that objects of different types do not alias (-fstrict-aliasing, on from -O2)."""
    level = "0"
    for option, _ in words_of(options):
        if option.startswith("-O"):
            level = option[2:] or "1"
    return is_in_force(options, "strict-aliasing", default=level not in ("0", "1", "g"))
