"""What a proposer is asked and what it answers.

A *prompt* describes one function; a *proposer* turns it into candidates: untrusted text until every gate has passed it.
Nothing here judges a candidate, and a proposer never raises for a source that fails: it yields less, with the cause in
`failures`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from gccllm.base.core import Candidate
from gccllm.base.reasons import Reason
from gccllm.propose.signature import CSignature
from gccllm.propose.unit import CompileUnit


@dataclass(frozen=True, slots=True)
class Isa:
    """Instruction sets, as levels of `gccllm.assembly.isa` (0 is plain x86-64)."""

    permitted: int = 0
    """What the unit's own -march permits: instructions up to here need no guard."""
    allowed: int = 0
    """Highest level a candidate may use: the permitted one, or the CPU's where a guard may be placed."""

    def describe(self) -> str:
        """Words for a prompt, e.g. `x86-64 level 5 (AVX-512 with VBMI2 ...)`."""
        return _ISA_WORDS.get(self.allowed, f"x86-64 level {self.allowed}")


_ISA_WORDS = {
    0: "x86-64 baseline: SSE2",
    2: "x86-64-v2: SSE4.2, POPCNT",
    3: "x86-64-v3: AVX2, BMI1, BMI2, LZCNT, POPCNT, MOVBE, PCLMUL, AES",
    4: "x86-64-v4: AVX-512 F, BW, CD, DQ, VL, and all of v3",
    5: "x86-64-v4 with AVX-512 VBMI, VBMI2, IFMA, VNNI, BITALG, VPOPCNTDQ, and GFNI, VAES, VPCLMULQDQ, SHA",
    6: "x86-64-v4 with AVX-512 VBMI, VBMI2, IFMA, VNNI, BITALG, VPOPCNTDQ, FP16, BF16, AVX-VNNI, and GFNI, VAES, SHA",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """An earlier candidate for the same function and what the gates said of it."""

    body: str
    reason: str
    """`Reason.label` of the verdict, or `accepted`."""
    detail: str = ""
    """The values compared, e.g. `rax: want 7, got 8`."""
    dialect: str = "asm"


class QuickCheck(Protocol):
    """A quick check of many functions, for a proposer that searches (`verify.quick_check`). May raise Decline.

    `text` is gcc's assembly of functions of the target's type, `names` some of them.
    """

    def quick(self, text: str, names: Sequence[str]) -> Sequence[bool]:
        """Which of them pass a few tests, the same ones every time."""
        ...

    def fresh(self, text: str, names: Sequence[str]) -> Sequence[bool]:
        """Which of them pass tests that `quick` never used, new ones among them."""
        ...


@dataclass(frozen=True)
class Prompt:
    """One function, as a proposer sees it."""

    function: str
    baseline: str
    """`assembly.canonical` of gcc's own body at the flags in force."""
    scalar: str = ""
    """`assembly.canonical` of the same function without vectorisation: the short text the built-in model was trained
    on. Empty when the side compile failed; use `short` to read it."""
    isa: Isa = Isa()
    signature: str = ""
    """The C declaration, e.g. `int f(const int *a, int n)`; empty when unknown."""
    c_source: str | None = None
    """The function's own C text, where `csource.find` saw it."""
    attempts: tuple[Attempt, ...] = ()
    types: CSignature | None = None
    """The function's types as words; None when they have none, and then the built-in model is not asked."""
    unit: CompileUnit | None = field(default=None, compare=False, repr=False)
    """How to compile the translation unit again; without it `recompile` and the `c` dialect have nothing to say."""
    quick_check: QuickCheck | None = field(default=None, compare=False, repr=False)
    """How to try bodies before they are proposed; without it the built-in model cannot repair its answers."""

    @property
    def short(self) -> str:
        """The scalar text where there is one, else the baseline."""
        return self.scalar or self.baseline

    def with_attempts(self, attempts: Sequence[Attempt]) -> Prompt:
        return replace(self, attempts=tuple(attempts))


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a proposer had less to say than it was asked for."""

    reason: Reason
    detail: str = ""
    answer: str = ""
    """The answer itself, where one arrived and could not be used."""


@runtime_checkable
class Proposer(Protocol):
    """A source of candidates. One object serves many prompts, one at a time; it is not for use by several threads."""

    name: str
    """`recompile` or `model`: what reports and `Candidate.proposer` say."""
    failures: list[Failure]
    """Grows; the caller clears it when it has read it."""

    def propose(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        """Up to `n` distinct candidates, likeliest first, within `deadline_s` seconds of wall time.

        Lazy: work is done as the iterator is drawn. Never raises for what the source does.
        """
        ...

    def refine(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        """The same with `prompt.attempts` filled: further candidates in the light of earlier verdicts."""
        ...

    def close(self) -> None:
        """Release what is held (a loaded model, a connection). May be called twice."""
        ...


class Tokens(Protocol):
    """What `gccllm.propose.tokens` gives: the built-in model's own words, which llama.cpp's tokeniser never sees.

    `tokens.load(path)` makes one from a `tokens.json`; it raises OSError or ValueError.
    """

    @property
    def words(self) -> tuple[str, ...]:
        """Token id to word."""
        ...

    @property
    def follows(self) -> dict[int, frozenset[int]] | None:
        """Which words came after which in answers that the model was trained on; None when not known."""
        ...

    @property
    def end(self) -> int:
        """The id after which an answer is complete."""
        ...

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """All ids up to the place where the answer starts. Raises ValueError for text outside the vocabulary."""
        ...

    def decode_answer(self, ids: Sequence[int], prompt: Prompt) -> str:
        """C text of an answer, the inside of the function (without `end`). Raises ValueError when the ids make none."""
        ...
