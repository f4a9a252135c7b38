"""The reward as trainers call it: verl's `compute_score`, OpenRLHF's `reward_func`. Both load this file by its path.

An answer goes through the gates of a build in a process of its own (`gccllm.lab.train.large.score`), and its outcome
becomes a number by one of `gccllm.lab.train.reward.REWARDS`. Nothing that an answer or a row holds makes this raise: no
code, and a row that is not ours, get the reward of what does not build; an answer whose process ended badly gets that
of `died`.

The ground truth is one JSON text made by `prompts`: the whole source, the function, the flags, the instruction sets
and the name of the reward. So a worker on any node needs gcc, this package and a CPU of the same kind, and no shared
files.

Outcomes are cached on disk by the hash of function and answer (GCCLLM_REWARD_CACHE, else the user's cache). What may
be different the next time (`died`) is not. GCCLLM_REWARD_JOBS bounds the answers that one process judges at a
time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import platformdirs

import gccllm
from gccllm.base.core import Decline
from gccllm.base.toolchain import Toolchain, clean_environment, run
from gccllm.lab.train.reward import REWARDS, Outcome
from gccllm.propose import prompt_text
from gccllm.unit.isa_allowance import cpu_name

DEFAULT_REWARD = "ours"
UNDECIDED = "died"
"""`score`'s word for what says nothing about the answer."""
DEADLINE_S = 150.0
"""Wall time of one answer's process; longer than `score.WORK_S`, which normally ends it."""
TASK_KEYS = ("source", "function", "flags", "permitted", "allowed")

_jobs = threading.BoundedSemaphore(max(1, int(os.environ.get("GCCLLM_REWARD_JOBS") or (os.cpu_count() or 2) // 2)))
# What chat templates put behind an answer; a fence followed by it would not close.
_SPECIAL_TAIL = re.compile(r"(?:<\|[^<>|\n]{1,40}\|>|</?s>|\s)+$")
_ASSISTANT = re.compile(r"<\|im_start\|>assistant\n|<\|start_header_id\|>assistant<\|end_header_id\|>\n\n|\[/INST\]")


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    reward: str | None = None,
    **_: Any,
) -> dict[str, float]:
    """verl: the reward as `score`, and the parts it came from. `reward` comes from `reward_kwargs`."""
    task = _task(ground_truth)
    found = judged(task, solution_str) if task is not None else _FAILED
    return {
        # KeyError for an unknown name: the run's mistake, not the answer's
        "score": float(REWARDS[reward or (task or {}).get("reward") or DEFAULT_REWARD](found)),
        "passed": float(found.is_pass),
        "passed_share": float(found.passed_share),
        "over_o3": float(found.over_o3),
        "over_best": float(found.over_best),
        "is_copy": float(found.is_copy),
        "undecided": float(found.status == UNDECIDED),
    }


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str], **_: Any) -> dict[str, Any]:
    """OpenRLHF: `rewards` and `scores` (N,) float32 and `extra_logs` of the same shape.

    queries  prompt and answer with their special tokens; prompts  the prompt alone; labels  the ground truths
    """
    import torch

    rows = [
        compute_score("gcc-llm", answer_of(query, prompt), label)
        for query, prompt, label in zip(queries, prompts, labels, strict=True)
    ]
    column = {key: torch.tensor([row[key] for row in rows]) for key in rows[0]} if rows else {}
    rewards = column.pop("score", torch.tensor([]))
    return {"rewards": rewards, "scores": column.get("passed", rewards), "extra_logs": column}


def answer_of(query: str, prompt: str) -> str:
    """The answer inside prompt and answer; empty when it is not clear where the prompt ends.

    The prompt holds code of its own: taken for an answer, it would be gcc's own function.
    """
    if query.startswith(prompt):
        return query[len(prompt) :]
    starts = list(_ASSISTANT.finditer(query))
    return query[starts[-1].end() :] if starts else ""


# --- outcomes -------------------------------------------------------------------------------------

_FAILED = Outcome("build", reason="no_code")


def judged(task: Mapping[str, Any], answer: str) -> Outcome:
    """The outcome of one answer, from the cache or from a process of its own."""
    try:
        code = prompt_text.parse_answer(_SPECIAL_TAIL.sub("", answer))
    except Decline as decline:
        return Outcome("build", reason=decline.reason.label, detail=decline.detail[:300])
    whole = {key: task[key] for key in TASK_KEYS} | {"answer": f"```{code.dialect}\n{code.code}```\n"}
    path = _cache() / f"{_key(whole)}.json"
    if (known := _read(path)) is not None:
        return known
    with _jobs:
        found = _in_a_process(whole)
    if found.status != UNDECIDED:
        _write(path, found)
    return found


def _in_a_process(task: Mapping[str, Any]) -> Outcome:
    env = {name: value for name, value in clean_environment().items() if not name.startswith("GCCLLM_")}
    # The same package as this one, wherever the trainer was started.
    # The working directory, where anybody may write, stays off the path: -P, and no empty word in PYTHONPATH.
    paths = [str(Path(gccllm.__file__).parents[1]), env.get("PYTHONPATH", "")]
    env["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    ran = run(
        [sys.executable, "-P", "-m", "gccllm.lab.train.large.score"], stdin=json.dumps(task).encode(), env=env,
        cwd=Path(tempfile.gettempdir()), deadline_s=DEADLINE_S,
    )  # fmt: skip
    found = _parsed(ran.out) if ran.ok else None
    if found is not None:
        return found
    words = ran.err.strip().splitlines()
    return Outcome(UNDECIDED, reason="engine_crashed", detail=words[-1][:300] if words else "")


def _parsed(text: str | bytes) -> Outcome | None:
    """The outcome in a JSON text; None for anything else."""
    try:
        return Outcome(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _task(ground_truth: object) -> dict[str, Any] | None:
    """The task in a ground truth; None when it is none of ours."""
    try:
        task = json.loads(ground_truth) if isinstance(ground_truth, str) else None
    except ValueError:
        return None
    if not isinstance(task, dict) or not set(TASK_KEYS) <= task.keys():
        return None
    return task if task.get("reward", DEFAULT_REWARD) in REWARDS else None


def _key(task: Mapping[str, Any]) -> str:
    text = json.dumps([gccllm.__version__, cpu_name(), _compiler(), task], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=1)
def _compiler() -> str:
    return Toolchain.find().version


def _cache() -> Path:
    place = os.environ.get("GCCLLM_REWARD_CACHE")
    return Path(place) if place else Path(platformdirs.user_cache_dir("gccllm")) / "rewards"


def _read(path: Path) -> Outcome | None:
    try:
        return _parsed(path.read_text())
    except OSError:
        return None


def _write(path: Path, found: Outcome) -> None:
    """Atomic; a cache that cannot be written costs time only."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
            json.dump(asdict(found), file)
        Path(file.name).replace(path)
