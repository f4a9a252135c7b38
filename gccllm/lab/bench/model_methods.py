"""The ways to get faster code for a row that suite `model` compares: each gives answers, none judges them.

    copy           gcc -O3's own code again
    recipes        the plain C by each of the compilers' own recipes
    taught         what the corpus has for the row, an expert's answer or KEEP: what a perfect pupil would say
    NAME           the likeliest answers of a GGUF, as a build asks for them
    NAME+repair    these, and what `propose.repair` mends in some seconds
    random-edits   gcc's body with random edits for the same seconds, the fastest right one kept

Random edits are in the spirit of STOKE and differ: the search is a hill climb over changes of an instruction
(`verify.mutate`), deletions and swaps of neighbours, led by the quick check and its clock; it has no cost for nearly
right code and no proof.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gccllm.assembly import Body, BodyError
from gccllm.base.deadline import Deadline
from gccllm.base.toolchain import Toolchain
from gccllm.lab.bench.model_check import NOTHING, O3, Checker, Proposal
from gccllm.lab.train.corpus import pair_of, types_of
from gccllm.propose.beam import Answer, Wanted
from gccllm.propose.builtin_model import MAX_TOKENS, REPAIR_LIMIT, TOKENS, keep_alone
from gccllm.propose.c_words import KEEP
from gccllm.propose.constrain import Constraint, Table
from gccllm.propose.facts import facts_of
from gccllm.propose.llama import Gguf, ModelError
from gccllm.propose.repair import Checks, repair, search, siblings
from gccllm.propose.slots import Slots
from gccllm.propose.tokens import Tokens
from gccllm.verify.mutate import mutants

Row = dict[str, Any]
"""A row of the corpus (`train.corpus`)."""

GUIDING_TESTS, FRESH_TESTS = 32, 120
"""Tests that lead a search, and those that what it found has to pass; the suite then judges with its own."""
GUIDING_SEED, FRESH_SEED = 70_001, 80_003


@dataclass
class Drawn:
    """What a method says to one row."""

    proposals: list[Proposal]
    first: Proposal | None = None
    """The greedy answer, where there is one apart from the samples."""
    seconds: float = 0.0


class Method(Protocol):
    """A source of answers.

    `kind` says how its list is read for N answers: `samples` are independent draws, any N of them; of a `list` the
    first N, or all there are; a `set` is the result of one search, only there as a whole.
    `identity` changes when the method of that name does: the digest of a model's file.
    """

    name: str
    kind: str
    identity: str

    def propose(self, row: Row, n: int, seed: int) -> Drawn: ...

    def close(self) -> None: ...


class Copy:
    """gcc -O3's own code; `copies` of it are the A/A control, picked from and timed like answers."""

    kind, identity = "list", ""

    def __init__(self, name: str = "copy", copies: int = 1) -> None:
        self.name, self.copies = name, copies

    def propose(self, row: Row, n: int, seed: int) -> Drawn:
        return Drawn([Proposal(O3, "recipe", i) for i in range(min(n, self.copies))])

    def close(self) -> None:
        pass


class Recipes:
    """What a build gets without any model."""

    name, kind, identity = "recipes", "set", ""

    def __init__(self, checker: Checker) -> None:
        self.names = [name for name in checker.recipes if name != O3]

    def propose(self, row: Row, n: int, seed: int) -> Drawn:
        return Drawn([Proposal(name, "recipe") for name in self.names])

    def close(self) -> None:
        pass


class Taught:
    """The corpus's own answers; nothing for the kernels, which have none."""

    name, kind, identity = "taught", "list", ""

    def propose(self, row: Row, n: int, seed: int) -> Drawn:
        return Drawn([Proposal.of_c(row["answer"]) if row["answer"] else NOTHING])

    def close(self) -> None:
        pass


DRAW_S = 2.0
"""Most seconds for the answers to a row: one that knows no end would go on to the longest answer."""


class Model:
    """A GGUF's likeliest answers, as a build asks for them; its vocabulary is beside it.

    Raises ModelError, OSError or ValueError when one is no use.
    """

    kind = "list"

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.identity = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        self.tokens = Tokens.load(path.with_name(TOKENS))
        self.model = Gguf(path)
        self.table, self.tools = Table(self.tokens), Toolchain.find()
        if self.model.vocabulary != self.tokens.size:
            raise ModelError(f"{path}: {self.model.vocabulary} tokens, {TOKENS} beside it has {self.tokens.size}")

    def close(self) -> None:
        self.model.close()

    def draw(self, row: Row, n: int) -> tuple[list[Answer], Constraint]:
        """The `n` likeliest answers. Raises ValueError when the row has no words, ModelError."""
        types = types_of(row)
        ids = self.tokens.encode_text(row["prompt"], types)
        facts = facts_of(row["prompt"], types, self.tools)
        constraint = Constraint(self.table, types, len(Slots.of(row["prompt"]).values), facts)
        wanted = Wanted(n, self.tokens.end, MAX_TOKENS, Deadline(DRAW_S), constraint, keep_alone(self.tokens.words))
        answers = self.model.likeliest(ids, wanted)
        return answers, constraint

    def text(self, ids: Sequence[int], row: Row) -> str | None:
        try:
            return self.tokens.decode_c(ids, row["prompt"])
        except ValueError:
            return None

    def proposal(self, answer: Answer, row: Row) -> Proposal:
        text = self.text(answer.ids, row) if answer.complete else None
        return NOTHING if text is None else Proposal.of_c(text)

    def propose(self, row: Row, n: int, seed: int) -> Drawn:
        started = time.monotonic()
        try:
            answers, _ = self.draw(row, n)
        except (ValueError, KeyError, ModelError):  # a word or a type the model does not know
            return Drawn([NOTHING], NOTHING, time.monotonic() - started)
        proposals = [self.proposal(answer, row) for answer in answers] or [NOTHING]
        return Drawn(proposals, proposals[0], time.monotonic() - started)


class Repaired:
    """A model's likeliest answers, and its failing ones mended for some seconds."""

    kind = "set"

    def __init__(self, model: Model, checker: Checker, seconds: float) -> None:
        self.name, self.identity = f"{model.name}+repair", model.identity
        self.model, self.checker, self.seconds = model, checker, seconds
        self.kin = siblings(model.tokens.words)

    def close(self) -> None:
        pass  # the model is closed by whoever made it

    def propose(self, row: Row, n: int, seed: int) -> Drawn:
        started = time.monotonic()
        try:
            answers, constraint = self.model.draw(row, n)
        except (ValueError, KeyError, ModelError):
            return Drawn([NOTHING], None, time.monotonic() - started)
        proposals = list(dict.fromkeys(self.model.proposal(answer, row) for answer in answers))
        judge, fresh = self._tests(row, GUIDING_TESTS, GUIDING_SEED), self._tests(row, FRESH_TESTS, FRESH_SEED)

        def guide(texts: Sequence[str]) -> list[bool]:
            return self.checker.passing_drafts(pair_of(row), texts, tests=GUIDING_TESTS, seed=GUIDING_SEED)

        whole = {answer.ids: answer for answer in answers if answer.complete}
        texts = {ids: self.model.text(ids, row) for ids in whole}
        asked = [(answer, text) for ids, answer in whole.items() if (text := texts[ids]) and text.strip() != KEEP]
        right = judge([text for _, text in asked])
        seeds = [answer for (answer, _), passes in zip(asked, right, strict=True) if not passes]

        def decode(ids: Sequence[int]) -> str | None:
            text = self.model.text(ids, row)
            return None if text is None or text.strip() == KEEP else text

        edited = search(seeds, self.kin, constraint.accepts, decode, REPAIR_LIMIT)
        mended = repair(edited, Checks(guide, fresh), Deadline(self.seconds))
        proposals += [Proposal.of_c(one.text) for one in mended]
        return Drawn(proposals, None, time.monotonic() - started)

    def _tests(self, row: Row, tests: int, seed: int) -> Callable[[Sequence[str]], list[bool]]:
        pair = pair_of(row)
        return lambda texts: [
            v.is_pass for v in self.checker([(pair, Proposal.of_c(t)) for t in texts], tests=tests, seed=seed)
        ]


class RandomEdits:
    """Hill climbing from gcc's scalar body by edits nobody learned, for `seconds` a row."""

    name, kind, identity = "random-edits", "set", ""
    BATCH = 48

    def __init__(self, checker: Checker, seconds: float) -> None:
        self.checker, self.seconds = checker, seconds

    def close(self) -> None:
        pass

    def propose(self, row: Row, n: int, seed: int) -> Drawn:
        started = time.monotonic()
        rng, pair = random.Random(f"{seed}/{row['key']}"), pair_of(row)
        try:
            best = Body.parse(row["prompt"])
        except BodyError:
            return Drawn([NOTHING])
        fastest = 1.0
        seen = {row["prompt"]}
        while time.monotonic() - started < self.seconds:
            edited = [text for text in (_edited(best, rng) for _ in range(self.BATCH)) if text not in seen]
            fresh = list(dict.fromkeys(edited))
            if not fresh:
                break  # everything near has been tried
            seen.update(fresh)
            jobs = [(pair, Proposal(text, "asm")) for text in fresh]
            verdicts = self.checker(jobs, tests=GUIDING_TESTS, seed=GUIDING_SEED)
            passing = [job for job, verdict in zip(jobs, verdicts, strict=True) if verdict.is_pass]
            if not passing:
                continue
            again = self.checker(passing, tests=FRESH_TESTS, seed=FRESH_SEED, timing=True)
            for (_, proposal), verdict in zip(passing, again, strict=True):
                if verdict.is_pass and verdict.ratios()[0] > fastest:
                    fastest, best = verdict.ratios()[0], Body.parse(proposal.text)
        text = best.text()
        # What was never beaten is gcc's own: nothing was found.
        return Drawn([Proposal(text, "asm") if fastest > 1.0 else NOTHING], None, time.monotonic() - started)


def _edited(body: Body, rng: random.Random) -> str:
    """A body one to three random edits away."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        if rng.random() < 0.3:
            body = _swapped(body, rng)
            continue
        found = mutants(body, limit=24, seed=rng.randrange(1 << 30))
        if found:
            body = rng.choice(found).body
    return body.text()


def _swapped(body: Body, rng: random.Random) -> Body:
    """Two neighbouring instructions exchanged."""
    places = [
        i for i, (one, two) in enumerate(zip(body.lines, body.lines[1:], strict=False))
        if not one.is_label and not two.is_label
    ]  # fmt: skip
    if not places:
        return body
    at = rng.choice(places)
    lines = (*body.lines[:at], body.lines[at + 1], body.lines[at], *body.lines[at + 2 :])
    return Body(lines, body.constants)
