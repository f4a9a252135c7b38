"""A small vocabulary of the built-in model's kind, and a model beside it that says what it is told to say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gccllm.propose.beam import Answer
from gccllm.propose.tokens import Tokens
from tests.kit import tiny_gguf

SCALAR = """\
\ttestl\t%esi, %esi
\tjle\t.L4
\txorl\t%eax, %eax
.L3:
\tmovzbl\t(%rdi), %edx
\tcmpl\t$57, %edx
\tcmpl\t$200, %edx
\tret
.L4:
\txorl\t%eax, %eax
\tret
"""
ANSWERS = (
    "return COUNT(b, a, x == 57);",
    "return COUNT(b, a, IN(48, 9));",
    "u64 k = FIND(b, a, (x == 57) | (x <= 200)); return k < LEN(b) ? k : -1;",
    "u64 k = FIND(b, a, x == 57); return k < LEN(b) ? a[k] : 0;",
    "return SUM(u64, b, a, x + 1);",
    "u64 k = FIND(b, a, (x & 1) != 0); return k < LEN(b) ? k : b;",
    "u64 k = 0; for (u64 i = 0; i < b; i++) { k += a[i]; } return k;",
    "u32 k = 0, i = 3; if (b > 7) return i; else k = (u32)b; while (k < 9) k++; return k;",
    "KEEP",
)


def vocabulary(answers: Sequence[str] = ANSWERS) -> Tokens:
    """Words of `SCALAR` and of the answers, without pairs of neighbours."""
    return Tokens.build([(SCALAR, answer) for answer in answers], lines=8)


def write_model(folder: Path, tokens: Tokens, *, context: int = 512, seed: int = 0, nan: bool = False) -> Path:
    """`model.gguf` of random weights with `tokens.json` beside it."""
    tokens.save(folder / "tokens.json")
    return tiny_gguf.write(folder / "model.gguf", vocabulary=tokens.size, context=context, seed=seed, nan=nan)


def answer_of(tokens: Tokens, text: str, scalar: str = SCALAR, log: float = -0.05, **sure: float) -> Answer:
    """An answer as if the model had said `text`: each place with `log`, those of the words in `sure` with theirs."""
    ids = tuple(tokens.encode_c(text, scalar))
    logs = tuple(sure.get(tokens.words[i].strip(), log) for i in ids)
    return Answer(ids, sum(logs), True, logs, tuple(((i, one),) for i, one in zip(ids, logs, strict=True)))
