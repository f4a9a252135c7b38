"""What gcc's options mean for a rewrite: one table, asked of every option of a compile.

    harmless   names files, prints, warns, or is seen by the preprocessor alone: what it changes is in the text and the types
    meaning    decides code, or what code may rely on: part of the situation, and so of the key
    (none)     nobody has said what it does to a rewrite: the unit is left to gcc

`policy.UNIT_ROWS` has the options that are known to forbid a rewrite. An option that is new, misspelt here or simply
forgotten is in no row, so it declines: the safe side is the default.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from functools import lru_cache


class Effect(enum.Enum):
    HARMLESS = "harmless"
    MEANING = "meaning"


WITH_WORD = frozenset({
    "--param", "-A", "-B", "-D", "-I", "-L", "-MF", "-MJ", "-MQ", "-MT", "-T", "-U", "-Xassembler", "-Xlinker",
    "-Xpreprocessor", "-aux-info", "-dumpbase", "-dumpbase-ext", "-dumpdir", "-e", "-idirafter", "-imacros",
    "-imultiarch", "-imultilib", "-include", "-iprefix", "-iquote", "-isysroot", "-isystem", "-iwithprefix",
    "-iwithprefixbefore", "-l", "-o", "-u", "-wrapper", "-x", "-z",
})  # fmt: skip
"""Options whose argument is the next word."""

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
# its registers and stack is switched off by the launcher (policy.PRIVATE).
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

ROWS: tuple[tuple[str, Effect, str], ...] = (
    # (pattern, full match; effect; an example)
    (r"-[cSEQHvs]|-###|-pipe|-pass-exit-codes|-(no-)?canonical-prefixes|-fsyntax-only", Effect.HARMLESS, "-c"),
    (r"-o.*|-[lLBTAeuz].*|-x.*|-r|-rdynamic|-shared(-libgcc)?|-static.*|-(no-)?pie|-no(startfiles|defaultlibs|stdlib|libc)"
     r"|-wrapper|-aux-info|-dump.*|-d.*|-save-temps.*|-time.*|-X(assembler|linker|preprocessor)|-fuse-.*",
     Effect.HARMLESS, "-o"),
    (r"-[DUIi].*|-M.*|-nostdinc.*|-P|-C|-CC|-undef|-trigraphs|-remap|-traditional.*|-fpch.*|-finput-charset=.*|--sysroot=.*"
     r"|-(no-)?integrated-cpp|-ftrack-macro-expansion.*|-f(no-)?working-directory|-fdirectives-only|-fpreprocessed"
     r"|-fmax-include-depth=.*|-f(no-)?canonical-system-headers|-f\w+-prefix-map=.*", Effect.HARMLESS, "-DNDEBUG"),
    (r"-W.*|-w|-pedantic.*|-f(no-)?(diagnostics|message-length|show-column|max-errors|analyzer|tabstop|permitted)[\w-]*(=.*)?",
     Effect.HARMLESS, "-Wall"),
    (r"-g.*|-f(no-)?(var-tracking|debug|dwarf2|eliminate|emit-|stack-usage|callgraph-info|dump|opt-info|verbose-asm|ident"
     r"|record-gcc-switches|save-optimization-record|mem-report|time-report|stats|random-seed|compare-debug|checking"
     r"|report-bug|merge-debug-strings)[\w-]*(=.*)?", Effect.HARMLESS, "-g"),
    (r"-O.*|-std=.*|-ansi|-pthread|--param(=.*)?|-specs=.*", Effect.MEANING, "-O3"),
    (rf"-f(no-)?({_PASSES})(=.*)?", Effect.MEANING, "-fno-tree-vectorize"),
    (rf"-f(no-)?ipa-({_BEHAVIOUR})", Effect.MEANING, "-fno-ipa-cp"),
    (r"-f(no-)?ipa-(ra|stack-alignment)", Effect.MEANING, "-fno-ipa-ra"),
    (rf"-f(no-)?({_LANGUAGE})(=.*)?", Effect.MEANING, "-fwrapv"),
    (r"-f(no-)?(function-sections|data-sections)|-f(no-)?stack-protector[\w-]*|-fcf-protection(=.*)?|-fno-cf-protection"
     r"|-fzero-call-used-regs=.*|-ftrivial-auto-var-init=.*|-ftls-model=.*|-fabi-(compat-)?version=.*"
     r"|-f(no-)?(lto|fat-lto-objects).*|-fprofile-(use|correction|values|partial-training|dir|reproducible|update).*"
     r"|-f(no-)?auto-profile.*|-f(exec|wide-exec)-charset=.*", Effect.MEANING, "-fcf-protection=full"),
    (r"-fno-(profile-arcs|profile-generate|test-coverage|sanitize=.*|split-stack|stack-check|stack-limit|trapv|harden-\w[\w-]*"
     r"|instrument-functions|non-call-exceptions)", Effect.MEANING, "-fno-trapv"),
    (rf"-m(no-)?({_ISA})", Effect.MEANING, "-mavx2"),
    (rf"-m(no-)?({_TARGET})", Effect.MEANING, "-mred-zone"),
    (r"-m(arch|tune|cpu|tune-ctrl|branch-cost|prefer-vector-width|tls-dialect|stringop-strategy|mem\w+-strategy|move-max"
     r"|store-max|large-data-threshold|malign-data|align-data|recip|veclibabi|dispatch-scheduler)(=.*)?|-mno-recip"
     r"|-mfpmath=sse|-mcmodel=small|-mharden-sls=.*|-mlong-double-80|-mabi=sysv|-m128bit-long-double"
     r"|-mindirect-branch=keep|-mfunction-return=keep|-mstack-protector-guard=tls|-masm=att", Effect.MEANING, "-march=x86-64-v3"),
)  # fmt: skip
"""The first row that matches decides."""


@lru_cache(maxsize=4096)
def effect_of(option: str) -> Effect | None:
    """What an option means for a rewrite; None when no row says."""
    return next((effect for pattern, effect, _ in ROWS if re.fullmatch(pattern, option)), None)


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
    levels = [option for option in words if option.startswith("-O")]
    is_fast = bool(levels) and levels[-1] == "-Ofast" and "-fno-fast-math" not in words
    return not is_fast and not any(is_in_force(options, one, default=False) for one in loosened_by)


def traps_floats(options: Sequence[str]) -> bool:
    """Whether floating-point exception flags mean something (-ftrapping-math, gcc's default)."""
    return _is_strict(options, "trapping-math", ("fast-math", "unsafe-math-optimizations"))


def sets_errno(options: Sequence[str]) -> bool:
    """Whether library functions report errors in errno (-fmath-errno, gcc's default)."""
    return _is_strict(options, "math-errno", ("fast-math",))


def assumes_types(options: Sequence[str]) -> bool:
    """Whether objects of unlike types may be taken for apart (-fstrict-aliasing, on from -O2)."""
    level = "0"
    for option, _ in words_of(options):
        if option.startswith("-O"):
            level = option[2:] or "1"
    return is_in_force(options, "strict-aliasing", default=level not in ("0", "1", "g"))
