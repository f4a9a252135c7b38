"""The likeliest answers to one prompt, all different: a beam over a model's next-token logits.

Sampling a confident model mostly repeats one answer. A beam never draws one twice: of all continuations of the partial
answers it keeps the `width` likeliest, and a finished answer keeps its place among them. Likelihood is the model's own:
what a constraint forbids is left out and the rest is not renormalised, so a constraint makes no answer likelier.

The search knows nothing of the model's memory: `evaluate` is given the answer that each new one continues.

Covered: any model of tokens, any constraint. Not covered: the exact list: an answer whose beginning is not among the
`width` likeliest beginnings of that length is not found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gccllm.base.deadline import NEVER, Deadline

ALTERNATIVES = 6
"""Tokens remembered for each place of an answer."""


class Constraint(Protocol):
    """Which tokens may come next (`gccllm.propose.constrain`)."""

    @property
    def start(self) -> Any: ...

    def row(self, state: Any) -> Any:
        """(V,) bool, True on what may come; the end token included."""
        ...

    def step(self, state: Any, token: int) -> Any:
        """The state after a token that may come."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    ids: tuple[int, ...]
    """Without the end token."""
    log_likelihood: float
    """Nats, under the model itself (temperature 1)."""
    complete: bool
    """It ended by itself, not at a limit."""
    logs: tuple[float, ...] = ()
    """Log-probability of each id, under the model itself, and of the end token if complete."""
    alternatives: tuple[tuple[tuple[int, float], ...], ...] = ()
    """For each id: the likeliest tokens in its place that may come there, itself perhaps included, and their
    log-probabilities."""


@dataclass(frozen=True, slots=True)
class _Path:
    """A partial answer, or a finished one."""

    answer: Answer
    state: Any
    lane: int
    """Its sequence in the model's memory; -1 when it is finished."""


@dataclass(frozen=True, slots=True)
class Step:
    """One more token of one answer."""

    origin: int
    """The lane of the answer that it continues."""
    lane: int
    """Its own: the origin's for one of its continuations, a free one for the others."""
    token: int


Evaluate = Callable[[Sequence[Step], int], Any]
"""Steps, and how many tokens of an answer came before; logits (steps, V)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which answers a beam is to find."""

    width: int
    """Most of them."""
    end: int
    """The token that ends one."""
    max_tokens: int
    deadline: Deadline = NEVER
    constraint: Constraint | None = None
    alone: tuple[int, float] | None = None
    """A token that is a whole answer, and a share. Where the model gives it at least that share it is the only answer,
    else it is none."""


def likeliest(logits: Any, evaluate: Evaluate, wanted: Wanted) -> list[Answer]:
    """Different answers, the likeliest first; incomplete ones come last.

    logits (1, V) after the prompt, whose lane is 0. Fewer answers when fewer can be, or when no time is left.
    """
    import numpy as np

    width, end, max_tokens, alone = wanted.width, wanted.end, wanted.max_tokens, wanted.alone
    constraint = wanted.constraint
    paths = [_Path(Answer((), 0.0, False), constraint.start if constraint else None, 0)]
    for length in range(max_tokens + 1):
        live = [path for path in paths if path.lane >= 0]
        if not live or length == max_tokens or wanted.deadline.is_over:
            break
        own = logits.astype(np.float64)
        own -= own.max(axis=1, keepdims=True)
        own -= np.log(np.exp(own).sum(axis=1, keepdims=True))
        if alone is not None and not length:
            token, share = alone
            log = float(own[0, token])
            if math.exp(log) >= share:
                return [Answer((token,), log, True, (log,), (_likely(np, own[0]),))]
            own[0, token] = -np.inf
        if constraint is not None:
            own = np.where(np.stack([constraint.row(path.state) for path in live]), own, -np.inf)
        totals = (own + np.array([[path.answer.log_likelihood] for path in live])).ravel()
        best = np.argpartition(-totals, min(width, len(totals)) - 1)[:width]
        ended = [path for path in paths if path.lane < 0]
        kept: list[tuple[float, int, int]] = [(-path.answer.log_likelihood, -1, i) for i, path in enumerate(ended)]
        size = own.shape[1]
        kept += [(-float(totals[i]), *divmod(int(i), size)) for i in best if totals[i] > -np.inf]
        kept = sorted(kept)[:width]
        paths, grown = [], []
        others: dict[int, tuple[tuple[int, float], ...]] = {}
        for _, which, token in kept:
            if which < 0:
                paths.append(ended[token])
                continue
            path = live[which]
            log = float(own[which, token])
            if token == end:
                paths.append(_Path(_longer(path.answer, None, log, ()), None, -1))
                continue
            if which not in others:
                others[which] = _likely(np, own[which])
            after = constraint.step(path.state, token) if constraint else None
            grown.append((which, token, _longer(path.answer, token, log, others[which]), after))
        steps = _lanes([(live[which].lane, token) for which, token, _, _ in grown], width)
        paths += [_Path(answer, state, s.lane) for s, (_, _, answer, state) in zip(steps, grown, strict=True)]
        if steps and length < max_tokens - 1:
            logits = evaluate(steps, length)
    return sorted((path.answer for path in paths if path.answer.ids or path.answer.complete),
                  key=lambda answer: (not answer.complete, -answer.log_likelihood))  # fmt: skip


def _longer(answer: Answer, token: int | None, log: float, others: tuple[tuple[int, float], ...]) -> Answer:
    """With one more token, or ended (None)."""
    total, logs = answer.log_likelihood + log, (*answer.logs, log)
    if token is None:
        return Answer(answer.ids, total, True, logs, answer.alternatives)
    return Answer((*answer.ids, token), total, False, logs, (*answer.alternatives, others))


def _likely(np: Any, logs: Any) -> tuple[tuple[int, float], ...]:
    count = min(ALTERNATIVES, len(logs))
    found = [(int(i), float(logs[i])) for i in np.argpartition(-logs, count - 1)[:count]]
    return tuple(sorted((one for one in found if one[1] > -np.inf), key=lambda one: -one[1]))


def _lanes(grown: Sequence[tuple[int, int]], width: int) -> list[Step]:
    """A lane for each (origin, token): the first from an origin stays in its lane, the others take free ones."""
    free = sorted(set(range(width)) - {origin for origin, _ in grown}, reverse=True)
    stayed: set[int] = set()
    steps = []
    for origin, token in grown:
        steps.append(Step(origin, origin if origin not in stayed else free.pop(), token))
        stayed.add(origin)
    return steps
