"""From C functions to rows of prompts, in the columns that the two trainers read.

verl      data_source, prompt (chat messages), ability, reward_model {style, ground_truth}, extra_info; parquet or jsonl
OpenRLHF  input (chat messages), label, datasource; jsonl

The prompt is the project's own (`gccllm.propose.prompt_text`), word for word what a build would ask. The ground truth
is a JSON text from which `reward` judges an answer without any other file.

Left out: functions without a loop or declined by the policy, functions whose own C text is not found, texts of the
benchmark's kernels, the same text a second time, prompts over the limit, and (unless told otherwise) functions whose
tests are not adequate, since no answer to them could be judged.

Not covered: C++; sources that need headers of their own project other than those beside them.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gccllm.assembly import BodyError
from gccllm.base.core import Decline
from gccllm.base.scratch import scratch
from gccllm.lab import bench
from gccllm.lab.train.large import score
from gccllm.propose import prompt_text
from gccllm.unit import hotness, policy

DATA_SOURCE = "gcc-llm"
KERNELS = Path(bench.__file__).with_name("kernels")
CHARACTERS_PER_TOKEN = 2.2
"""Assembly in a tokenizer made for code; low on purpose. Used when the model's own tokenizer is not at hand."""
MAX_INCLUDE_DEPTH = 8

_LOCAL_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"[^\n]*$', re.M)


@dataclass(frozen=True)
class Example:
    """One function as a row, before it has the shape that a trainer wants."""

    messages: list[dict[str, str]]
    task: dict[str, Any]
    """What `score` needs: source, function, flags, permitted, allowed, reward."""
    program: str
    """The file it came from: splits go by program, never by function."""
    text: str
    """Canonical scalar assembly; empty when there is none."""

    @property
    def name(self) -> str:
        """Equal for duplicates."""
        return self.text or self.messages[-1]["content"]


def self_contained(path: Path, depth: int = 0) -> str:
    """The C text with `#include "..."` of files beside it replaced by their text. Raises OSError."""
    text = path.read_text(encoding="utf-8", errors="replace")

    def inlined(match: re.Match[str]) -> str:
        beside = path.parent / match[1]
        return self_contained(beside, depth + 1) if depth < MAX_INCLUDE_DEPTH and beside.is_file() else match[0]

    return _LOCAL_INCLUDE.sub(inlined, text)


def examples_of(
    source: str, program: str, *, flags: Sequence[str] = ("-O3",), reward: str = "ours"
) -> tuple[list[Example], Counter[str]]:
    """The examples in one C text, hottest first, and how many functions were left out for which reason."""
    left: Counter[str] = Counter()
    found: list[Example] = []
    with scratch() as directory:
        try:
            session = score.session_of(source, list(flags), directory)
        except Decline as decline:
            return [], Counter([decline.reason.label])
        warm, cold = hotness.rank(session.unit.module, session.settings)
        left.update(one.reason.label for one in cold)
        for heat in warm:
            function = heat.function
            try:
                policy.declines_function(function, session.settings)
                prompt = session.prompt(function)
            except Decline as decline:
                left[decline.reason.label] += 1
                continue
            except BodyError as error:
                left[error.reason.label] += 1
                continue
            if prompt.c_source is None:
                left["no_c_text"] += 1
                continue
            task = {
                "source": source, "function": function.name, "flags": list(flags),
                "permitted": prompt.isa.permitted, "allowed": prompt.isa.allowed, "reward": reward,
            }  # fmt: skip
            found.append(Example(prompt_text.messages(prompt), task, program, prompt.scalar))
    return found, left


def estimated_length(messages: list[dict[str, str]]) -> int:
    """Tokens of chat messages, rather too many than too few."""
    return int(sum(len(message["content"]) for message in messages) / CHARACTERS_PER_TOKEN) + 8 * len(messages)


@dataclass(frozen=True)
class Wanted:
    """Which examples become rows."""

    reserved: frozenset[str] = frozenset()
    """Canonical scalar texts that must not be trained on."""
    length: Callable[[list[dict[str, str]]], int] = estimated_length
    """Tokens of chat messages."""
    most_tokens: int = 0
    """0: no limit."""
    is_tested: bool = True
    """Keep only functions whose tests are adequate (a few seconds each)."""

    def refusal(self, example: Example) -> str | None:
        """Why the example is left out, in a word."""
        if example.name in self.reserved:
            return "benchmark"
        if self.most_tokens and self.length(example.messages) > self.most_tokens:
            return "prompt_too_long"
        if self.is_tested:
            declined = score.declined(example.task["source"], example.task["function"], example.task["flags"])
            if declined is not None:
                return declined.partition(":")[0]
        return None


def gather(
    paths: Iterable[Path], wanted: Wanted, *, flags: Sequence[str] = ("-O3",), reward: str = "ours"
) -> tuple[list[Example], Counter[str]]:
    """Examples of many files, and why others were left out."""
    kept: list[Example] = []
    left: Counter[str] = Counter()
    seen: set[str] = set()
    for path in paths:
        try:
            source = self_contained(path)
        except OSError:
            left["unreadable"] += 1
            continue
        found, why = examples_of(source, str(path), flags=flags, reward=reward)
        left += why
        for example in found:
            if reason := "twice" if example.name in seen else wanted.refusal(example):
                left[reason] += 1
            else:
                seen.add(example.name)
                kept.append(example)
    return kept, left


def benchmark_texts(flags: Sequence[str] = ("-O3",), folder: Path = KERNELS) -> frozenset[str]:
    """What rows of the benchmark's kernels would hold, made the same way; none of them may be a row."""
    made = [examples_of(self_contained(path), path.stem, flags=flags)[0] for path in sorted(folder.glob("*.c"))]
    return frozenset(example.text for found in made for example in found if example.text)


def is_validation(program: str, share: float) -> bool:
    """Whether a program's functions are held out; the same for every run."""
    draw = int.from_bytes(hashlib.sha256(Path(program).name.encode()).digest()[:4], "big") / 2**32
    return draw < share


# --- rows -----------------------------------------------------------------------------------------


def verl_row(example: Example, index: int, split: str) -> dict[str, Any]:
    return {
        "data_source": DATA_SOURCE,
        "prompt": example.messages,
        "ability": "code",
        "reward_model": {"style": "rule", "ground_truth": json.dumps(example.task)},
        "extra_info": {
            "split": split, "index": index, "function": example.task["function"], "program": example.program,
        },
    }  # fmt: skip


def openrlhf_row(example: Example) -> dict[str, Any]:
    return {"input": example.messages, "label": json.dumps(example.task), "datasource": DATA_SOURCE}


def write(examples: Sequence[Example], path: Path, framework: str, split: str) -> None:
    """Write rows atomically: parquet where the name says so (pyarrow is needed), else jsonl. Raises ImportError."""
    rows = [
        verl_row(example, i, split) if framework == "verl" else openrlhf_row(example)
        for i, example in enumerate(examples)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(path.suffix + ".tmp")
    if path.suffix == ".parquet":
        table: Any = importlib.import_module("pyarrow").Table.from_pylist(rows)
        importlib.import_module("pyarrow.parquet").write_table(table, temporary)
    else:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    temporary.replace(path)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a file that `write` made."""
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = importlib.import_module("pyarrow.parquet").read_table(path).to_pylist()
        return rows
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
