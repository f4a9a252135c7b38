"""What a harvest found, and the words for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from gccllm.assembly import cfg
from gccllm.assembly.cfg import Edge
from gccllm.base.core import Test
from gccllm.harvest.probe import DOUBTFUL, Probe
from gccllm.harvest.target import HarvestTarget
from gccllm.harvest.types import Signature, describe


@dataclass
class Harvest:
    """Everything found for one function."""

    seed: int
    tests: list[Test] = field(default_factory=list)
    timing: dict[str, list[Test]] = field(default_factory=dict)
    """Per class (`small`, `medium`, `large`, or `typical`) at least 16 different inputs; or those of recorded calls."""
    held_out: dict[str, list[Test]] = field(default_factory=dict)
    """Fresh inputs of the same classes, for timing a winner again."""
    guard_classes: dict[str, list[Test]] = field(default_factory=dict)
    """Generated inputs, where recorded ones decide: a winner must not be much slower on them."""
    edges_taken: int = 0
    edges_all: int = 0
    """Without those that are infeasible."""
    infeasible: frozenset[Edge] = frozenset()
    """Edges of the baseline of which it is proved that no input takes them (`gccllm.prove`)."""
    missing: list[Edge] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    """What was found and what was not, a sentence each."""
    discards: dict[str, int] = field(default_factory=dict)
    """Inputs thrown away, by reason."""
    overlaps: dict[str, int] = field(default_factory=dict)
    """For every two pieces of memory that may overlap and of which one is written: the defined inputs in which they
    do. 0: what the function does then is undefined, or it does not end."""
    refused: dict[str, int] = field(default_factory=dict)
    """Why recorded calls do not replay, by reason."""
    cut_short: bool = False
    """The deadline ended it before the budgets did; another run may find other tests."""

    def count(self, label: str) -> int:
        """How many tests are of a label: `recorded`, `mutated`, ..."""
        return sum(test.label == label for test in self.tests)


def explain(target: HarvestTarget, result: Harvest, probe: Probe) -> list[str]:
    """Sentences for `explain`."""
    labels = Counter(test.label for test in result.tests)
    said = [
        f"signature: {signature_words(target.signature)}",
        f"{len(result.tests)} tests ({', '.join(f'{count} {label}' for label, count in labels.most_common())})",
        f"edges of the baseline taken: {result.edges_taken} of {result.edges_all}",
    ]
    if result.infeasible:
        said.append(f"{len(result.infeasible)} further edges: proved that no input takes them")
    if labels[DOUBTFUL]:
        said.append(
            f"{labels[DOUBTFUL]} inputs that are slow, or undefined in C, take edges that no other input takes: "
            "candidates must do there what the baseline does"
        )
    if result.overlaps:
        said.append("overlapping: " + ", ".join(f"{pair} {count}" for pair, count in result.overlaps.items()))
    graph = cfg(target.body)
    for a, b in result.missing[:8]:
        block = graph.blocks[a]
        last = " ".join(target.body.lines[block.last - 1].text().split())
        said.append(f"no input takes edge {a} -> {b}, after `{last}`")
    said.append("timing classes: " + (", ".join(f"{k} {len(v)}" for k, v in result.timing.items()) or "none"))
    if result.discards:
        said.append("discarded: " + ", ".join(f"{what} {count}" for what, count in result.discards.items()))
    if probe.trapping is None:
        said.append("no trapping build: undefined behaviour was not looked for")
    if result.cut_short:
        said.append("the deadline ended the search early")
    return said


def signature_words(signature: Signature) -> str:
    params = ", ".join(f"{p.name}: {describe(p.type)}" for p in signature.params)
    return f"{signature.name}({params}) -> {describe(signature.returns)}"
