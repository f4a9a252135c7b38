"""Every exit has a name: why a unit or function was left to gcc, and why a candidate was not linked.

One table. A name is printed, counted and stored; once released it is never renamed or reused. `says`
completes the sentence of its scope:

    unit      "the unit was left to gcc because ..."
    function  "the function was left to gcc because ..."
    refuted   "the candidate was refused because ..."      (shown wrong or not faster)
    undecided "the candidate was not admitted because ..." (a limit was hit; nothing was shown)
    engine    "gcc's own output was used because ..."      (a part of gcc-llm failed)
    proposer  "a proposer gave no candidate because ..."   (others may have)
    store     "what is stored was not used, or nothing was stored, because ..."

What a user can do about it, if anything, is its `next_step`; the values it depends on are in the event's detail.
"""

from __future__ import annotations

import enum


class Scope(enum.StrEnum):
    UNIT = "unit"
    FUNCTION = "function"
    REFUTED = "refuted"
    UNDECIDED = "undecided"
    ENGINE = "engine"
    PROPOSER = "proposer"
    STORE = "store"


# Next steps that several reasons share.
_DROP = "drop the option that `gccllm explain` names, if the program can do without it"
_RECORD = "record the program: GCCLLM_MODE=record, then `gccllm record -- COMMAND`"
_INSTALL = "install again: in a clone of gcc-llm, pip install --force-reinstall --no-deps ."
_LARGER = "use a larger model: GCCLLM_ENDPOINT"
_TRIAL = "; or let the program decide: GCCLLM_MODE=trial, then `gccllm trial -- COMMAND`"
_OWN = "move the loop into a function of its own"


class Reason(enum.Enum):
    """A named exit: `Reason.X.label` (snake_case, stable), `.scope`, `.says`, `.next_step`, `.mode`."""

    scope: Scope
    says: str
    next_step: str
    """What a user can do about it; empty where nothing can be done."""
    mode: str
    """The only GCCLLM_MODE in which it is given; empty: any."""

    def __new__(cls, label: str, scope: Scope, says: str, next_step: str = "", mode: str = "") -> Reason:
        row = object.__new__(cls)
        row._value_ = label
        row.scope = scope
        row.says = says
        row.next_step = next_step
        row.mode = mode
        return row

    @classmethod
    def of(cls, label: str) -> Reason:
        """The reason of that label. Raises ValueError for a label that this version does not know."""
        for reason in cls:
            if reason.label == label:
                return reason
        raise ValueError(f"unknown reason {label!r}")

    @property
    def label(self) -> str:
        return str(self.value)

    def __str__(self) -> str:
        return self.label

    # fmt: off
    # --- unit -----------------------------------------------------------------------------------
    MODE_OFF = ("mode_off", Scope.UNIT, "GCCLLM_MODE=off", "set GCCLLM_MODE=inline", "off")
    NOT_GCC_OUTPUT = ("not_gcc_output", Scope.UNIT, "the text is not what gcc's own C or C++ front end prints")
    SLIM_LTO = ("slim_lto", Scope.UNIT, "-flto leaves no machine code in this text; the link step generates it", "compile this file without -flto")
    LTO_LINK = ("lto_link", Scope.UNIT, "the link step of -flto made it from several units, so it has no source of its own", "link without -flto")
    OPTIMISATION_OFF = ("optimisation_off", Scope.UNIT, "it is compiled below -O1, or for size, or for debugging", "compile with -O2 (make CFLAGS=-O2, CMAKE_BUILD_TYPE=Release, meson --buildtype=release)")
    SANITIZER = ("sanitizer", Scope.UNIT, "-fsanitize instruments the code", _DROP)
    COVERAGE = ("coverage", Scope.UNIT, "--coverage counts executions of gcc's own blocks", _DROP)
    PROFILING = ("profiling", Scope.UNIT, "-pg, -fprofile-generate or -finstrument-functions instrument gcc's own code", _DROP)
    PATCHABLE_ENTRY = ("patchable_entry", Scope.UNIT, "-mfentry or -fpatchable-function-entry fix the bytes of every entry", _DROP)
    SPLIT_STACK = ("split_stack", Scope.UNIT, "-fsplit-stack changes every prologue", _DROP)
    INDIRECT_BRANCH = ("indirect_branch", Scope.UNIT, "-mindirect-branch= or -mfunction-return= route branches through thunks", _DROP)
    NOT_X86_64 = ("not_x86_64", Scope.UNIT, "the target is not 64-bit x86 with the LP64 ABI")
    CODE_MODEL = ("code_model", Scope.UNIT, "-mcmodel is not small", _DROP)
    NO_SSE = ("no_sse", Scope.UNIT, "-mno-sse or -mgeneral-regs-only forbids the vector registers of the ABI", _DROP)
    FREESTANDING = ("freestanding", Scope.UNIT, "-ffreestanding code may run where the tests cannot", _DROP)
    PLUGIN = ("plugin", Scope.UNIT, "-fplugin may have changed what the text means", _DROP)
    ASSEMBLER_LISTING = ("assembler_listing", Scope.UNIT, "an assembler option asks for a listing of gcc's own text", "drop -Wa,-a")
    ASM_SYNTAX = ("asm_syntax", Scope.UNIT, "-masm=intel text is not parsed", _DROP)
    OPTION_UNKNOWN = ("option_unknown", Scope.UNIT, "one of its options is not known, and may matter to a rewrite", _DROP)
    PRIVATE_ARRANGEMENTS = ("private_arrangements", Scope.UNIT, "its functions may rely on each other's use of registers and stack beyond the ABI", "let the launcher add its options (GCCLLM_OPT=o3 or keep), or drop the options that `gccllm explain` names")
    NOT_LOSSLESS = ("not_lossless", Scope.UNIT, "the text could not be parsed and printed back unchanged")
    GCC_UNVERIFIED = ("gcc_unverified", Scope.UNIT, "gcc before 11 does not describe everything that a rewrite must leave alone", "use gcc 11 or newer")
    FOREIGN_COMPILER = ("foreign_compiler", Scope.UNIT, "the real compiler is not gcc", "set GCCLLM_CC to a gcc")
    NO_SOURCE = ("no_source", Scope.UNIT, "the source file was not found for a side compile", "compile from a file that is still there when the assembler runs, not from a pipe")
    SIDE_COMPILE = ("side_compile", Scope.UNIT, "a side compile with -g did not produce the same code")
    UNIT_TOO_LARGE = ("unit_too_large", Scope.UNIT, "the text is over the size limit", "split the file")
    # --- function -------------------------------------------------------------------------------
    NOT_HOT = ("not_hot", Scope.FUNCTION, "it has no loop or recursion, or does not occur in the profile or recording", "name it in the setting `include`, or let `gccllm profile -- COMMAND` find what is hot")
    COLD = ("cold", Scope.FUNCTION, "it is marked cold, or gcc placed it in a cold section", "drop the attribute, or name it in the setting `include`")
    EXCLUDED = ("excluded", Scope.FUNCTION, "the settings exclude it", "change the setting that `gccllm explain` names")
    BUDGET = ("budget", Scope.FUNCTION, "the build's time budget ran out; it is queued", "run `gccllm tune`, or raise GCCLLM_BUILD_BUDGET")
    SET_UP = ("set_up", Scope.FUNCTION, "it looks like set-up code, for which a build does not wait; it is queued", "run `gccllm tune`, or name it in the setting `include`")
    QUEUED = ("queued", Scope.FUNCTION, "it waits for `gccllm tune`", "run `gccllm tune`, then build again", "queue")
    UNTRIED = ("untried", Scope.FUNCTION, "no build has tried it yet", "build, or run `gccllm explain --work FILE`")
    ASM_INLINE = ("asm_inline", Scope.FUNCTION, "it contains inline assembly, whose effects cannot be seen", "use plain C or an intrinsic, or move the loop into a function without it")
    ATOMIC = ("atomic", Scope.FUNCTION, "it uses atomic operations, or its arguments lead to atomic objects", "move the loop into a function that does not use it")
    NULL_PATH = ("null_path", Scope.FUNCTION, "gcc has found a path on which it uses a null pointer, and keeps that access", "check the pointer in the source, or compile with -fno-isolate-erroneous-paths-dereference")
    VOLATILE = ("volatile", Scope.FUNCTION, "it accesses volatile memory, or its arguments lead to some", "move the loop into a function that does not access volatile memory" + _TRIAL)
    ATTRIBUTE = ("attribute", Scope.FUNCTION, "an attribute of it, or of a function it calls, demands more of the code than is checked", "drop the attribute that `gccllm explain` names, if the program can do without it")
    EFFECTS_UNKNOWN = ("effects_unknown", Scope.FUNCTION, "it calls a function of the unit whose effects are not known")
    SETJMP = ("setjmp", Scope.FUNCTION, "it may return twice", _OWN)
    LSDA = ("lsda", Scope.FUNCTION, "it has exception tables", "compile with -fno-exceptions, or declare noexcept what it calls")
    TLS = ("tls", Scope.FUNCTION, "it accesses thread-local storage through a descriptor, emulation or a bare segment")
    REGISTER_VARIABLE = ("register_variable", Scope.FUNCTION, "its unit keeps a global variable in a register, which a rewrite could overwrite")
    VARIADIC = ("variadic", Scope.FUNCTION, "it is variadic", _OWN + _TRIAL)
    RETURN_ADDRESS = ("return_address", Scope.FUNCTION, "it inspects its own return address or frame")
    STACK_PROTECTOR = ("stack_protector", Scope.FUNCTION, "its stack protector must stay as gcc placed it", "compile the file with -fno-stack-protector, if you can do without it")
    INDIRECT_CALL = ("indirect_call", Scope.FUNCTION, "it calls through a pointer, whose target no test can choose", "move the loop into a function without calls through pointers" + _TRIAL)
    IMPURE_CALLEE = ("impure_callee", Scope.FUNCTION, "it calls a function that no stub can imitate", _RECORD + _TRIAL)
    CALLEE_UNKNOWN = ("callee_unknown", Scope.FUNCTION, "the type of a function it calls is not known", "include the header that declares the function that `gccllm explain` names")
    UNSUPPORTED_TYPE = ("unsupported_type", Scope.FUNCTION, "no inputs can be generated for the type of a parameter or result", _RECORD + _TRIAL)
    UNSUPPORTED_CODE = ("unsupported_code", Scope.FUNCTION, "its assembly contains something that is not modelled", _OWN)
    TOO_LARGE = ("too_large", Scope.FUNCTION, "it has more instructions than the limit", "raise GCCLLM_MAX_INSTRUCTIONS above the number that `gccllm explain` gives" + _TRIAL)
    FAR_DATA = ("far_data", Scope.FUNCTION, "it needs data or functions of other units that no test can supply", _RECORD)
    REPLACEABLE = ("replaceable", Scope.FUNCTION, "one name in it means both the unit's own function and one that another unit may put in its place", "make it static, or compile with -fvisibility=hidden")
    NO_TYPES = ("no_types", Scope.FUNCTION, "its types were not found in the debug information")
    NO_INPUTS = ("no_inputs", Scope.FUNCTION, "no input was found on which the baseline has a defined result", _RECORD + _TRIAL)
    EDGES_MISSED = ("edges_missed", Scope.FUNCTION, "some edge of the baseline is uncovered and not shown infeasible", _RECORD + _TRIAL)
    MUTANTS_SURVIVED = ("mutants_survived", Scope.FUNCTION, "too many mutants of the baseline survive the tests", _RECORD + _TRIAL)
    NOTHING_FASTER = ("nothing_faster", Scope.FUNCTION, "no candidate was shown equal and faster", "`gccllm explain --work -v FILE` shows each candidate; for more candidates set GCCLLM_SAMPLES or GCCLLM_ENDPOINT")
    NO_CANDIDATE = ("no_candidate", Scope.FUNCTION, "no proposer offered a candidate", _LARGER)
    PREVIOUSLY_TRIED = ("previously_tried", Scope.FUNCTION, "an earlier attempt found nothing and has not expired", "run `gccllm tune --again`")
    NOT_IN_STORE = ("not_in_store", Scope.FUNCTION, "the store has no rewrite for it, and this mode only uses what is there", "build with GCCLLM_MODE=inline, then `gccllm cache export`", "cached")
    # --- refuted: static ------------------------------------------------------------------------
    COPY = ("copy", Scope.REFUTED, "it is the baseline itself")
    UNPARSABLE = ("unparsable", Scope.REFUTED, "it is not assembly that can be parsed")
    DIRECTIVE = ("directive", Scope.REFUTED, "it contains a directive that is not allowed in a body")
    OTHER_SYMBOLS = ("other_symbols", Scope.REFUTED, "it names something that may mean another thing in gcc's own text")
    FUSED = ("fused", Scope.REFUTED, "it fuses a multiplication and an addition, which rounds once instead of twice")
    LOOSE_FLOATS = ("loose_floats", Scope.REFUTED, "the unit's options let gcc change floating-point results, so two compiles may differ")
    TOO_LONG = ("too_long", Scope.REFUTED, "the answer is over the size limit")
    DOES_NOT_ASSEMBLE = ("does_not_assemble", Scope.REFUTED, "the assembler rejects it")
    DOES_NOT_COMPILE = ("does_not_compile", Scope.REFUTED, "gcc rejects the C answer")
    NO_CODE = ("no_code", Scope.REFUTED, "the answer contains no code")
    FORBIDDEN_C = ("forbidden_c", Scope.REFUTED, "the C answer contains something that is forbidden in answers")
    UNKNOWN_SYMBOL = ("unknown_symbol", Scope.REFUTED, "it refers to a symbol that the baseline does not use")
    FORBIDDEN_INSTRUCTION = ("forbidden_instruction", Scope.REFUTED, "it uses an instruction that no rewrite may use")
    UNSUPPORTED_INSTRUCTION = ("unsupported_instruction", Scope.REFUTED, "it uses an instruction that the checked build cannot instrument")
    BRANCH_TARGET = ("branch_target", Scope.REFUTED, "a branch leaves the body or lands inside an instruction")
    FALLS_OFF = ("falls_off", Scope.REFUTED, "control can fall off its end")
    CALLEE_SAVED = ("callee_saved", Scope.REFUTED, "a callee-saved register is not restored")
    STACK_DEPTH = ("stack_depth", Scope.REFUTED, "the stack pointer is wrong at a return, call or join")
    RED_ZONE = ("red_zone", Scope.REFUTED, "it uses memory below the red zone, or the red zone across a call")
    CFI = ("cfi", Scope.REFUTED, "no unwind table can be derived for it")
    VZEROUPPER = ("vzeroupper", Scope.REFUTED, "the upper vector halves are dirty at a return or call")
    X87_STACK = ("x87_stack", Scope.REFUTED, "the x87 stack is wrong at a return or call")
    DIRECTION_FLAG = ("direction_flag", Scope.REFUTED, "the direction flag may be set at a return or call")
    CONTROL_WORD = ("control_word", Scope.REFUTED, "it changes a floating-point control word")
    ISA = ("isa", Scope.REFUTED, "it needs an instruction set for which there is no guard", "allow it behind a test of the CPU: GCCLLM_ISA=guarded")
    HARDENING = ("hardening", Scope.REFUTED, "it drops hardening that the baseline has")
    FRAME = ("frame", Scope.REFUTED, "its stack frame is larger than the baseline's by more than a small bound")
    ABSOLUTE_ADDRESS = ("absolute_address", Scope.REFUTED, "it addresses memory by an absolute number")
    ADDRESS_BITS = ("address_bits", Scope.REFUTED, "it computes with bits of an address, on which no program may rely")
    NARROW = ("narrow", Scope.REFUTED, "it accumulates in fewer bits than the baseline, so it is equal on short inputs only")
    FAR_BOUND = ("far_bound", Scope.REFUTED, "it compares with a constant that the baseline does not have and no test reaches")
    EARLY_EXIT = ("early_exit", Scope.REFUTED, "it exits early from a comparison that the baseline always completes", "allow it where the timing of secrets does not matter: GCCLLM_EARLY_EXITS=1")
    DEAD_READ = ("dead_read", Scope.REFUTED, "it reads a register or flag that is not defined at entry")
    # --- refuted: dynamic -----------------------------------------------------------------------
    WRONG_VALUE = ("wrong_value", Scope.REFUTED, "its result differs from the baseline's")
    WRONG_MEMORY = ("wrong_memory", Scope.REFUTED, "the memory it leaves differs from the baseline's")
    WRONG_CALLS = ("wrong_calls", Scope.REFUTED, "its calls, or their arguments, differ from the baseline's")
    FAULTED = ("faulted", Scope.REFUTED, "it faulted where the baseline does not")
    TIMED_OUT = ("timed_out", Scope.REFUTED, "it ran much longer than the baseline")
    ABI_BROKEN = ("abi_broken", Scope.REFUTED, "it broke the calling convention while running")
    WRONG_FLAGS = ("wrong_flags", Scope.REFUTED, "its floating-point exception flags differ from the baseline's")
    WRONG_ERRNO = ("wrong_errno", Scope.REFUTED, "its errno differs from the baseline's")
    STRAY_STORE = ("stray_store", Scope.REFUTED, "it stores a byte that the baseline does not store")
    STRAY_READ = ("stray_read", Scope.REFUTED, "it reads outside the aligned blocks that the baseline reads")
    SYSTEM_CALL = ("system_call", Scope.REFUTED, "it attempted a system call")
    ARGUMENT_NARROWED = ("argument_narrowed", Scope.REFUTED, "it reads fewer bytes of an argument than the baseline does")
    # --- refuted: timing ------------------------------------------------------------------------
    NOT_FASTER = ("not_faster", Scope.REFUTED, "it was not shown to be faster by the margin")
    CLASS_SLOWER = ("class_slower", Scope.REFUTED, "it is slower on one class of inputs")
    NOT_CONFIRMED = ("not_confirmed", Scope.REFUTED, "the gain was not confirmed on held-out inputs")
    # --- undecided ------------------------------------------------------------------------------
    EDGES_UNSEEN = ("edges_unseen", Scope.UNDECIDED, "some edge of the candidate is uncovered and not shown infeasible")
    NOISY = ("noisy", Scope.UNDECIDED, "the machine was too noisy to trust a timing", "run `gccllm tune` when the machine is quiet" + _TRIAL)
    TRACE_LIMIT = ("trace_limit", Scope.UNDECIDED, "the trace of the checked build overflowed on every input")
    DEADLINE = ("deadline", Scope.UNDECIDED, "the time budget ran out first", "run `gccllm tune` when the machine is quiet, or raise GCCLLM_BUILD_BUDGET (in a build) or GCCLLM_BUDGET")
    NO_TIMING_INPUT = ("no_timing_input", Scope.UNDECIDED, "no input runs long enough to time", _RECORD)
    SANDBOX_UNAVAILABLE = ("sandbox_unavailable", Scope.UNDECIDED, "the kernel does not allow the confinement; nothing was run", "run `gccllm doctor`; a container must allow seccomp")
    PAGES_UNMAPPABLE = ("pages_unmappable", Scope.UNDECIDED, "recorded memory cannot be mapped at its original addresses")
    # --- engine ---------------------------------------------------------------------------------
    ENGINE_MISSING = ("engine_missing", Scope.ENGINE, "gccllm-engine is not where the launcher is installed", _INSTALL)
    ENGINE_CRASHED = ("engine_crashed", Scope.ENGINE, "the engine failed with an error", "run `gccllm doctor`")
    ENGINE_TIMEOUT = ("engine_timeout", Scope.ENGINE, "the engine did not answer within the budget", "build with GCCLLM_BUILD_BUDGET=0, then run `gccllm tune`")
    MODEL_ABSENT = ("model_absent", Scope.PROPOSER, "no model is installed, or the model file cannot be loaded", "run `gccllm doctor`; GCCLLM_MODEL must name a GGUF file or be unset")
    MODEL_FAILED = ("model_failed", Scope.PROPOSER, "the model did not answer", "run `gccllm doctor`")
    ENDPOINT_FAILED = ("endpoint_failed", Scope.PROPOSER, "the model server did not give a usable answer", "start the server that GCCLLM_ENDPOINT names (`gccllm serve`); `gccllm doctor` tests it")
    RECIPE_FAILED = ("recipe_failed", Scope.PROPOSER, "the unit could not be recompiled with other flags")
    PROMPT_UNKNOWN = ("prompt_unknown", Scope.PROPOSER, "the function needs words outside the model's vocabulary", _LARGER)
    PROMPT_TOO_LONG = ("prompt_too_long", Scope.PROPOSER, "the function does not fit into the model's context", _LARGER)
    RECORDER = ("recorder", Scope.ENGINE, "the recorder could not be compiled as required; nothing of the unit is recorded", "run `gccllm doctor`")
    STORE_UNWRITABLE = ("store_unwritable", Scope.STORE, "the store could not be written", "make the store writable, or set GCCLLM_CACHE_DIR")
    ENTRY_CORRUPT = ("entry_corrupt", Scope.STORE, "a store entry was damaged and has been quarantined")
    ENTRY_VERSION = ("entry_version", Scope.STORE, "a store entry has a different schema version")
    ENTRY_LIMITS = ("entry_limits", Scope.STORE, "a stored entry contains a directive, name, type or size that is not allowed")
    CAPTURE_CORRUPT = ("capture_corrupt", Scope.STORE, "a recorded call was damaged and has been skipped")
    CAPTURE_VERSION = ("capture_version", Scope.STORE, "a recorded call has a different format version")
    TESTS_CORRUPT = ("tests_corrupt", Scope.STORE, "recorded tests were damaged and are ignored")
    TESTS_VERSION = ("tests_version", Scope.STORE, "recorded tests have a different schema version")
    RECORDED_SINCE = ("recorded_since", Scope.STORE, "calls were recorded after the stored answer was found; it is searched again", "build again, or run `gccllm tune`")
    TESTS_ABSENT = ("tests_absent", Scope.STORE, "a stored rewrite depends on recorded tests that are not on this machine", _RECORD)
    ENTRY_REFUSED = ("entry_refused", Scope.STORE, "a stored rewrite failed re-verification", "`gccllm cache verify` says what fails")
    SPLICE_REFUSED = ("splice_refused", Scope.ENGINE, "the assembler rejected the spliced text")
    # fmt: on


TRANSIENT = frozenset(
    {
        Reason.BUDGET,
        Reason.MODEL_FAILED,
        Reason.ENDPOINT_FAILED,
        Reason.DEADLINE,
        Reason.NOISY,
        Reason.SANDBOX_UNAVAILABLE,
    }
)
"""Failures that say nothing of the function: never remembered."""
