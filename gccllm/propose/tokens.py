"""The built-in model's own words: assembly lines as fields, constants as references to the prompt.

A prompt is `<isaN>`, the canonical scalar text, `<sep>`; an answer is body text and `<eos>`. One token is a whole
frequent line, or a mnemonic, an operand, a label. Numbers of the prompt other than small structural ones (scales,
strides, shift counts of types) become slots `kk0`, `kk1` ... in order of appearance, and an answer refers to them,
so that the model copies a name, never digits. An answer may also say slot plus or minus one (x < c is x <= c-1), and
the slot's complement to 2^8 or 2^16; every other number is spelled in digits.

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

if TYPE_CHECKING:
    from gccllm.propose.protocol import Prompt

SCHEMA = 1
SPECIAL = ("<pad>", "<eos>", "<sep>", "<unk>", *(f"<isa{level}>" for level in range(6)))
SLOTS = 12
STRUCTURAL = frozenset((0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64))
"""Numbers that are never slots."""
FIXED = frozenset((27, 78, 128, 177, 255, 506097522914230528, 1084818905618843912))
"""Numbers of the expert's own idioms (shuffle controls, lane numbers): spelled out even where a slot fits."""
SMALL = {"$": range(-128, 256), "": range(-64, 128)}
"""Immediates and displacements that are one token."""
MAX_PROMPT_TOKENS = 480
_WRAPS = {"": 0, "p": 1, "m": -1}
_COMPLEMENTS = {"w": 256, "x": 65536}

_OPERAND = re.compile(
    r"(?P<star>\*)?(?P<immediate>\$)?(?P<number>-?\d+)?(?P<label>\.L\d+)?(?P<register>%[a-z]\w*)?"
    r"(?P<memory>\((?P<inside>[^()]*)\))?(?P<mask>(\{[^}]*\})*)"
)
_REFERENCE = re.compile(r"(-?)kk(\d+)([pmwx]?)")


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


@dataclass(frozen=True)
class Slots:
    """The numbers of one prompt, in order of appearance."""

    values: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> Slots:
        seen: dict[int, None] = {}
        for line in text.splitlines():
            if not line.endswith(":"):
                for match in re.finditer(
                    r"(?<![\w.%])-?(\d+)(?=$|[\s,(])", line.partition("\t")[2].partition("\t")[2].replace("$", "")
                ):
                    value = int(match[1])
                    if value not in STRUCTURAL:
                        seen.setdefault(value)
        return cls(tuple(seen)[:SLOTS])

    def name(self, number: int, *, answer: bool) -> str | None:
        """A reference that means `number`, or None: then it is spelled in digits."""
        if abs(number) in STRUCTURAL or (answer and abs(number) in FIXED):
            return None
        sign, magnitude = ("-", -number) if number < 0 else ("", number)
        if magnitude in self.values:
            return f"{sign}kk{self.values.index(magnitude)}"
        if not answer:
            return None
        for suffix, more in (("p", 1), ("m", -1)):
            if magnitude - more in self.values:
                return f"{sign}kk{self.values.index(magnitude - more)}{suffix}"
        for suffix, whole in _COMPLEMENTS.items():
            if whole - magnitude in self.values:
                return f"{sign}kk{self.values.index(whole - magnitude)}{suffix}"
        return None

    def number(self, reference: str) -> int:
        """The number a reference means. Raises ValueError for a slot the prompt does not have."""
        match = _REFERENCE.fullmatch(reference)
        if match is None or int(match[2]) >= len(self.values):
            raise ValueError(f"{reference} names no number of the prompt")
        value = self.values[int(match[2])]
        value = _COMPLEMENTS[match[3]] - value if match[3] in _COMPLEMENTS else value + _WRAPS[match[3]]
        return -value if match[1] else value


COMPLEMENTED = 6
"""Slots whose complements have words."""


def _has_word(prefix: str, reference: str) -> bool:
    """Whether every vocabulary has the reference: neighbours and complements only as immediates, the latter of few."""
    if reference[-1] not in _WRAPS and reference[-1] not in _COMPLEMENTS:
        return True
    return prefix == "$" and (reference[-1] in "pm" or int(reference.strip("-k")[:-1]) < COMPLEMENTED)


def _number_words(prefix: str, number: int, slots: Slots, *, answer: bool) -> list[str]:
    reference = slots.name(number, answer=answer)
    if reference is not None and _has_word(prefix, reference):
        return [prefix + reference]
    if number in SMALL[prefix]:
        return [f"{prefix}{number}"]
    digits = str(abs(number))
    chunks = [digits[i : i + 2] for i in range(0, len(digits), 2)]
    return [prefix + ("#-" if number < 0 else "#"), *[f"#{chunk}" for chunk in chunks]]


def _operand_words(operand: str, slots: Slots, *, answer: bool) -> list[str]:
    match = _OPERAND.fullmatch(operand)
    if match is None or not operand:
        return ["<unk>"]
    words = ["*"] if match["star"] else []
    if match["number"] is not None:
        words += _number_words("$" if match["immediate"] else "", int(match["number"]), slots, answer=answer)
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


def words_of(text: str, slots: Slots, *, answer: bool) -> list[list[str]]:
    """Words of each line: a label, or a mnemonic (with a leading tab) and its operands."""
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
            words += [",", *_operand_words(operand, slots, answer=answer)]
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

    @cached_property
    def ids(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    @property
    def end(self) -> int:
        return self.ids["<eos>"]

    @property
    def eos(self) -> int:
        return self.end

    @property
    def size(self) -> int:
        return len(self.words)

    @classmethod
    def build(cls, rows: Iterable[tuple[str, str]], *, lines: int = 540, size: int = 2048) -> Tokens:
        """A vocabulary of (prompt, answer) texts: every word seen, the commonest whole lines, all numbers to 255."""
        counts: Counter[str] = Counter()
        whole: Counter[str] = Counter()
        for prompt, answer in rows:
            slots = Slots.of(prompt)
            for text, is_answer in ((prompt, False), (answer, True)):
                for words in words_of(text, slots, answer=is_answer):
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
        chosen = dict.fromkeys([*SPECIAL, *closed, *_REGISTERS, *_MEMORY])
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
        if stored.get("schema") != SCHEMA:
            raise ValueError(f"schema {stored.get('schema')}, want {SCHEMA}")
        return cls(tuple(stored["words"]))

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({"schema": SCHEMA, "words": self.words}, indent=0, ensure_ascii=True) + "\n")

    def _encode(self, text: str, slots: Slots, *, answer: bool) -> list[int]:
        ids: list[int] = []
        for words in words_of(text, slots, answer=answer):
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

    def encode_text(self, scalar: str, level: int) -> list[int]:
        """Ids of a prompt given as canonical text and ISA level. Raises ValueError."""
        ids = [self.ids[f"<isa{max(0, min(level, 5))}>"], *self._encode(scalar, Slots.of(scalar), answer=False)]
        if len(ids) >= MAX_PROMPT_TOKENS:
            raise ValueError(f"{len(ids)} tokens, the limit is {MAX_PROMPT_TOKENS}")
        return [*ids, self.ids["<sep>"]]

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """All ids up to the place where the answer starts. Raises ValueError for text outside the vocabulary."""
        return self.encode_text(prompt.short, prompt.isa.allowed)

    def encode_answer(self, body: str, scalar: str) -> list[int]:
        """Ids of an answer to the prompt text `scalar`, without `end`. Raises ValueError."""
        return self._encode(body, Slots.of(scalar), answer=True)

    def decode_answer(self, ids: Sequence[int], prompt: Prompt | str) -> str:
        """Body text of an answer (without `end`). Raises ValueError when the ids make none."""
        slots = Slots.of(prompt if isinstance(prompt, str) else prompt.short)
        flat: list[str] = []
        for number in ids:
            if not 0 <= number < len(self.words):
                raise ValueError(f"no token {number}")
            flat += self.words[number].split("\x1f")
        lines: list[str] = []
        operands: list[str] = []

        def flush() -> None:
            if operands and lines:
                lines[-1] += "\t" + ", ".join(operands)
            operands.clear()

        start = True
        for position, word in enumerate(flat):
            if word.startswith("<") or (not lines and not word.startswith("\t") and not word.endswith(":")):
                raise ValueError(f"{word!r} at {position} of an answer")
            if word.startswith("\t") or word.endswith(":"):
                flush()
                lines.append(word)
                start = True
            elif word == ",":
                start = True
            else:
                piece = self._piece(word, slots)
                if start:
                    operands.append(piece)
                else:
                    operands[-1] += piece
                start = False
        flush()
        return "\n".join(lines) + "\n"

    @staticmethod
    def _piece(word: str, slots: Slots) -> str:
        if word in ("$#", "$#-", "#", "#-"):
            return word.replace("#", "")
        if re.fullmatch(r"#\d+", word):
            return word[1:]
        if "kk" in word:
            prefix = "$" if word.startswith("$") else ""
            return f"{prefix}{slots.number(word[len(prefix) :])}"
        return word


def load(path: Path) -> Tokens:
    """The vocabulary in `path` (tokens.json)."""
    return Tokens.load(path)
