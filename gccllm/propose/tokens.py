"""The built-in model's own words: types and assembly lines in the prompt, C in the answer.

A prompt is `<c>`, the words of the types (`=i32 :pu8 :i64`), the canonical scalar text, `<sep>`; an answer is the
inside of a C function (`gccllm.propose.prelude`) and `<eos>`. One token is a whole frequent line, or a mnemonic, an
operand, a label; of C it is a lexeme, a macro's name with its parenthesis. Numbers of the prompt other than small
structural ones (scales, strides, shift counts of types) become slots `kk0`, `kk1` ... in order of appearance, and an
answer refers to them, so that the model copies a name, never digits. An answer may also say slot plus or minus one (x <
c is x <= c-1), and the slot's complement to 2^8 or 2^16; every other number is spelled in digits.

Covered: the instructions the model was trained on. Not covered: calls, jump tables, constants in memory; a text with a
word outside the vocabulary raises ValueError, and the proposer has no answer.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gccllm.propose.c_words import C_CLOSED, c_text, c_words
from gccllm.propose.signature import WORDS, CSignature
from gccllm.propose.slots import COMPLEMENTED, SLOTS, Slots

if TYPE_CHECKING:
    from gccllm.propose.protocol import Prompt

SCHEMA = 2
SPECIAL = ("<pad>", "<eos>", "<sep>", "<unk>", *(f"<isa{level}>" for level in range(6)), "<c>")
SMALL = {"$": range(-128, 256), "": range(-64, 128)}
"""Immediates and displacements that are one token."""
MAX_PROMPT_TOKENS = 480
_OPERAND = re.compile(
    r"(?P<star>\*)?(?P<immediate>\$)?(?P<number>-?\d+)?(?P<label>\.L\d+)?(?P<register>%[a-z]\w*)?"
    r"(?P<memory>\((?P<inside>[^()]*)\))?(?P<mask>(\{[^}]*\})*)"
)


_BASES = ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "rbx", "rbp", "rsp", "r12", "r13", "r14", "r15")
_REGISTERS = [
    *(f"%{r}" for r in _BASES), *(f"%{r}{w}" for r in _BASES if r[1].isdigit() for w in "dwb"),
    *(f"%{w}{r[1:]}" for r in _BASES if not r[1].isdigit() for w in ("e", "")),
    *(f"%{r}" for r in ("al", "cl", "dl", "bl", "sil", "dil", "bpl")), *(f"%{v}mm{i}" for v in "xyz" for i in range(8)),
]  # fmt: skip
_MEMORY = [
    *(f"(%{r})" for r in _BASES),
    *(f"(%{b},%{i}{s})" for b in _BASES[:7] for i in _BASES[:7] for s in ("", ",2", ",4", ",8")),
    *(f"(,%{i},{s})" for i in _BASES[:7] for s in (2, 4, 8)),
]  # fmt: skip


def _number_words(prefix: str, number: int, slots: Slots) -> list[str]:
    reference = slots.name(number, answer=False)
    if reference is not None:
        return [prefix + reference]
    if number in SMALL[prefix]:
        return [f"{prefix}{number}"]
    digits = str(abs(number))
    chunks = [digits[i : i + 2] for i in range(0, len(digits), 2)]
    return [prefix + ("#-" if number < 0 else "#"), *[f"#{chunk}" for chunk in chunks]]


def _operand_words(operand: str, slots: Slots) -> list[str]:
    match = _OPERAND.fullmatch(operand)
    if match is None or not operand:
        return ["<unk>"]
    words = ["*"] if match["star"] else []
    if match["number"] is not None:
        words += _number_words("$" if match["immediate"] else "", int(match["number"]), slots)
    elif match["immediate"]:
        return ["<unk>"]
    words += [match[part] for part in ("label", "register", "memory") if match[part]]
    if match["mask"]:
        words.append(match["mask"])
    return words


def split_operands(text: str) -> list[str]:
    """Operands of one instruction; commas inside parentheses do not separate."""
    parts, depth, current = [], 0, ""
    for character in text:
        if character == "," and depth == 0:
            parts.append(current.strip())
            current = ""
            continue
        depth += (character == "(") - (character == ")")
        current += character
    return [*parts, current.strip()] if current.strip() else parts


def words_of(text: str, slots: Slots) -> list[list[str]]:
    """Words of each line of a prompt: a label, or a mnemonic (with a leading tab) and its operands."""
    lines = []
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped:
            continue
        if stripped.endswith(":"):
            lines.append([stripped])
            continue
        mnemonic, _, rest = stripped.partition("\t") if "\t" in stripped else stripped.partition(" ")
        words = ["\t" + mnemonic]
        for operand in split_operands(rest):
            words += [",", *_operand_words(operand, slots)]
        # a comma says where an operand starts; the first needs none
        lines.append(words[:1] + words[2:] if len(words) > 1 else words)
    return lines


def _merge(words: list[str]) -> str:
    """A line's words as one token."""
    return "\x1f".join(words)


@dataclass(frozen=True)
class Tokens:
    """A vocabulary: `words[i]` is the token with id i."""

    words: tuple[str, ...]
    follows: dict[int, frozenset[int]] | None = None
    """For a C word (or `<sep>`): the words that came next in some training answer; None when not known."""

    @cached_property
    def ids(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    @property
    def end(self) -> int:
        return self.ids["<eos>"]

    @property
    def size(self) -> int:
        return len(self.words)

    @classmethod
    def build(
        cls, rows: Iterable[tuple[str, str]], *, lines: int = 600, size: int = 2816, macros: Iterable[str] = ()
    ) -> Tokens:
        """A vocabulary of (prompt, answer) texts: every word seen, the commonest whole lines, all numbers to 255.

        `macros`: names that an answer may call, seen or not.
        """
        counts: Counter[str] = Counter()
        whole: Counter[str] = Counter()
        spoken: Counter[str] = Counter()
        for prompt, answer in rows:
            slots = Slots.of(prompt)
            spoken.update(c_words(answer, slots))
            for words in words_of(prompt, slots):
                counts.update(words)
                if len(words) > 1:
                    # shorter sequences gain more from a line made of many words
                    whole[_merge(words)] += len(words) - 1
        closed = [f"{p}{n}" for p, numbers in SMALL.items() for n in numbers]
        closed += [f"{p}{s}kk{i}" for p in ("$", "") for s in ("", "-") for i in range(SLOTS)]
        closed += [
            f"${s}kk{i}{x}" for s in ("", "-") for i in range(SLOTS) for x in "pmwx" if x in "pm" or i < COMPLEMENTED
        ]
        closed += [f"#{n:02d}" for n in range(100)] + [f"#{n}" for n in range(10)]
        closed += [f"{p}#{s}" for p in ("$", "") for s in ("", "-")] + [",", "*"]
        closed += [f".L{n}{c}" for n in range(1, 25) for c in ("", ":")]
        types = [*(f"={w}" for w in WORDS), *(f":{w}" for w in WORDS)]
        spellings = [*C_CLOSED, *(f" {name}(" for name in macros)]
        chosen = dict.fromkeys([*SPECIAL, *types, *closed, *_REGISTERS, *_MEMORY, *spellings])
        for word, _ in spoken.most_common():
            chosen.setdefault(word)
        for word, _ in counts.most_common():
            chosen.setdefault(word)
        room = max(0, min(lines, size - len(chosen)))
        for word, _ in whole.most_common(room):
            chosen.setdefault(word)
        named = list(chosen)[:size]
        named += [f"<unused{i}>" for i in range(-len(named) % 32)]
        return cls(tuple(named))

    @classmethod
    def load(cls, path: Path) -> Tokens:
        """Raises OSError, or ValueError for a file of another schema."""
        stored = json.loads(path.read_text())
        if not isinstance(stored, dict) or stored.get("schema") != SCHEMA:
            raise ValueError(f"not a vocabulary of schema {SCHEMA}")
        follows = stored.get("follows")
        return cls(
            tuple(stored["words"]),
            {int(first): frozenset(then) for first, then in follows.items()} if follows else None,
        )

    def save(self, path: Path) -> None:
        stored: dict[str, object] = {"schema": SCHEMA, "words": self.words}
        if self.follows:
            stored["follows"] = {str(first): sorted(then) for first, then in sorted(self.follows.items())}
        path.write_text(json.dumps(stored, separators=(",", ":"), ensure_ascii=True).replace('","', '",\n"') + "\n")

    def with_follows(self, answers: Iterable[Sequence[int]]) -> Tokens:
        """The same words, with the pairs of neighbours in these answers (ids without `end`)."""
        follows: dict[int, set[int]] = {}
        for ids in answers:
            for first, then in zip((self.ids["<sep>"], *ids), (*ids, self.end), strict=True):
                follows.setdefault(first, set()).add(then)
        return Tokens(self.words, {first: frozenset(then) for first, then in follows.items()})

    def _encode(self, text: str, slots: Slots) -> list[int]:
        ids: list[int] = []
        for words in words_of(text, slots):
            line = self.ids.get(_merge(words)) if len(words) > 1 else None
            if line is not None:
                ids.append(line)
                continue
            for word in words:
                number = self.ids.get(word)
                if number is None or word == "<unk>":
                    raise ValueError(f"no token for {word!r}")
                ids.append(number)
        return ids

    def encode_text(self, scalar: str, types: CSignature) -> list[int]:
        """Ids of a prompt given as canonical text and types. Raises ValueError."""
        ids = [*(self.ids[word] for word in ("<c>", *types.words)), *self._encode(scalar, Slots.of(scalar))]
        if len(ids) >= MAX_PROMPT_TOKENS:
            raise ValueError(f"{len(ids)} tokens, the limit is {MAX_PROMPT_TOKENS}")
        return [*ids, self.ids["<sep>"]]

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """All ids up to the place where the answer starts. Raises ValueError for text outside the vocabulary."""
        if prompt.types is None:
            raise ValueError("a signature that has no words")
        return self.encode_text(prompt.short, prompt.types)

    def encode_c(self, answer: str, scalar: str) -> list[int]:
        """Ids of an answer in C, without `end`. Raises ValueError."""
        ids: list[int] = []
        for word in c_words(answer, Slots.of(scalar)):
            number = self.ids.get(word)
            if number is None:
                raise ValueError(f"no token for {word!r}")
            ids.append(number)
        return ids

    def decode_c(self, ids: Sequence[int], scalar: str) -> str:
        """C text of an answer (without `end`), blanks between the lexemes. Raises ValueError."""
        if any(not 0 <= number < len(self.words) for number in ids):
            raise ValueError("no such token")
        return c_text([self.words[number] for number in ids], Slots.of(scalar))

    def decode_answer(self, ids: Sequence[int], prompt: Prompt) -> str:
        """C text of an answer to a prompt (without `end`). Raises ValueError when the ids make none."""
        return self.decode_c(ids, prompt.short)


def load(path: Path) -> Tokens:
    """The vocabulary in `path` (tokens.json)."""
    return Tokens.load(path)
