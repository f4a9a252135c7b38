"""The configuration of a training run: one record for all stages, from a TOML file and the command line.

Every stage is `python -m gccllm.lab.train STAGE [--config FILE] [--NAME VALUE ...]`. The options of a stage are the
common fields that it reads and those of its section; the file has the common fields at its top and a table for each
section. `sft` and `ppo` print the fields they read when they start and store the whole record in the checkpoint. A run
that goes on from a checkpoint must have the same values, except for fields that change only how long or how fast it
runs (`free`).
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import gccllm

BUILTIN = Path(gccllm.__file__).with_name("propose") / "builtin"
"""Where the package has its model."""


def knob(default: Any, says: str, *, free: bool = False, stages: Sequence[str] = ()) -> Any:
    """A field with its default and its line of help.

    free: it may differ when a run goes on from its checkpoint. stages: those that read a common field; none: all.
    """
    return field(default=default, metadata={"says": says, "free": free, "stages": stages})


@dataclass(frozen=True)
class Corpus:
    rows: int = knob(100_000, "Useful rows wanted.", free=True)
    minutes: float = knob(30.0, "Wall time of this run.", free=True)
    workers: int = knob(2, "Processes: one a core.", free=True)
    quick: bool = knob(False, "Check with plain loops, time nothing: more rows beside timed ones.")


@dataclass(frozen=True)
class Real:
    minutes: float = knob(20.0, "Wall time of this run.", free=True)


@dataclass(frozen=True)
class Sft:
    minutes: float = knob(60.0, "Wall time of all runs that went on from the checkpoint.", free=True)
    steps: int = knob(0, "Pause after so many in all; 0: no limit.", free=True)
    save_every: float = knob(180.0, "Seconds between checkpoints.", free=True)
    hidden: int = knob(160, "Width of the model, a multiple of 32; a checkpoint has its own size.", free=True)
    inner: int = knob(448, "Width of the feed-forward part, a multiple of 32.", free=True)
    layers: int = knob(6, "Blocks.", free=True)
    heads: int = knob(5, "Attention heads.", free=True)
    data: str = knob("", "A file of token ids that `pack` wrote, instead of the corpus.", free=True)
    unpaired: bool = knob(False, "Give every prompt another prompt's answer: the plain language model, in `lm/`.")
    step_tokens: int = knob(2048, "Padded tokens of a batch.")
    window: int = knob(4000, "Examples among which those of like lengths are put together.")
    multiple: int = knob(1, "Lengths are padded to a multiple of this.")
    short: int = knob(60, "Tokens of the longest example at the start.")
    curriculum: float = knob(0.1, "Share of the time after which examples of any length are used; 0: from the start.")
    scale: float = knob(1.0, "Factor of the learning rates.")
    drop: float = knob(0.0, "Share of every block's additions that is zeroed.")


@dataclass(frozen=True)
class Ppo:
    minutes: float = knob(20.0, "Wall time of all runs that went on from the checkpoint.", free=True)
    iterations: int = knob(0, "Pause after so many in all; 0: no limit.", free=True)
    save_every: float = knob(180.0, "Seconds between checkpoints.", free=True)
    workers: int = knob(0, "Processes that score; 0: this one.", free=True)
    ray: str = knob("", "Address of a Ray cluster that scores.", free=True)
    fresh_batches: int = knob(6, "New batches of pairs to draw prompts from.")
    prompts: int = knob(64, "Prompts an iteration.")
    samples: int = knob(8, "Answers to each of them.")
    max_tokens: int = knob(160, "Tokens of an answer, the end included.")
    temperature: float = knob(
        1.0, "Of sampling. Ratios are the policy's at 1, so anything else is a little off-policy."
    )
    rows_at_once: int = knob(128, "Answers under way at a time; a GPU takes 2048.")
    chunk_tokens: int = knob(1500, "Tokens a pass of the model; a GPU takes 60000. Not part of the result.", free=True)
    reward: str = knob("ours", "ours, speedup or correctness.")
    baseline: str = knob("both", "value: value head and generalised advantages; group: the mean of the other answers "
                         "to the prompt; both: the value head on the difference from that mean.")  # fmt: skip
    gamma: float = knob(1.0, "Discount of a reward, a token.")
    lam: float = knob(0.95, "Lambda of the generalised advantages.")
    kl: float = knob(0.05, "Reward lost per nat of log ratio to the supervised model.")
    clip: float = knob(0.2, "How far a ratio may leave 1.")
    value_clip: float = knob(0.5, "Reward units that a value may move in an iteration.")
    entropy: float = knob(0.01, "Weight of the entropy bonus.")
    epochs: int = knob(2, "Passes over an iteration's answers.")
    minibatches: int = knob(2, "Optimiser steps in each of them.")
    least_spread: float = knob(0.08, "Reward between the best and the worst answer to a prompt from which on they "
                               "differ; less is the noise of the timer (0.08 is a sixth in time).")  # fmt: skip
    rate: float = knob(4e-4, "Learning rate of the policy.")
    value_rate: float = knob(1e-3, "Learning rate of the value head.")
    value_epochs: int = knob(6, "Passes of the value head.")
    value_minibatch: int = knob(1024, "Tokens of one of its steps.")
    decay: float = knob(0.0, "Weight decay.")
    average: float = knob(0.97, "Share of itself that the running average of the weights keeps in an iteration.")
    gradient_norm: float = knob(1.0, "Gradients are clipped at this norm.")
    target_kl: float = knob(0.03, "Nats a token to the sampling policy; an iteration's updates stop above it.")
    warm_up: int = knob(2, "Iterations that fit only the value head, which starts at 0.")


@dataclass(frozen=True)
class Restore:
    model: Path = knob(BUILTIN, "Folder of model.gguf and tokens.json.")  # noqa: RUF009


@dataclass(frozen=True)
class Export:
    checkpoint: str = knob("ppo-average.pt", "File in the work folder.")
    to: Path = knob(BUILTIN, "Folder of model.gguf and tokens.json.")  # noqa: RUF009


@dataclass(frozen=True)
class Evaluate:
    checkpoint: str = knob("ppo-average.pt", "File in the work folder.")
    rows: int = knob(150, "Of each held-out split.")
    n: int = knob(8, "Answers to each row.")


@dataclass(frozen=True)
class Compare:
    rows: int = knob(1000, "Of the split, those that have something to find.")
    split: str = knob("unseen", "random, unseen or family.")
    n: int = knob(8, "Sampled answers to each row, beside the greedy one.")
    workers: int = knob(0, "Processes that check and time; 0: this one.")


@dataclass(frozen=True)
class Config:
    """Every number of a run, by stage."""

    out: Path = knob(Path(".train"), "Work folder.", free=True)  # noqa: RUF009
    seed: int = knob(1, "Seed of all random draws.", stages=("corpus", "sft", "ppo"))
    threads: int = knob(1, "Threads of torch.", free=True, stages=("sft", "ppo"))
    corpus: Corpus = Corpus()
    real: Real = Real()
    sft: Sft = Sft()
    ppo: Ppo = Ppo()
    restore: Restore = Restore()
    export: Export = Export()
    evaluate: Evaluate = Evaluate()
    compare: Compare = Compare()

    def stored(self) -> dict[str, Any]:
        """As a checkpoint keeps it: plain values, so that it can be read without this module."""
        return asdict(self, dict_factory=lambda rows: {k: str(v) if isinstance(v, Path) else v for k, v in rows})

    def line(self, section: str) -> str:
        """What a stage prints when it starts: the common fields and its own."""
        mine = self.stored()
        rows = {f.name: mine[f.name] for f in _plain(self)} | mine[section]
        return f"{section}: " + " ".join(f"{name}={value}" for name, value in rows.items())

    def check_same(self, stored: Mapping[str, Any], section: str, path: Path) -> None:
        """Raises ValueError, one line that names the fields, when a checkpoint was made with other values."""
        mine = self.stored()
        pairs = [(f.name, f, mine[f.name], stored.get(f.name)) for f in _plain(self)]
        own, theirs = mine[section], stored.get(section, {})
        pairs += [(f"{section}.{f.name}", f, own[f.name], theirs.get(f.name)) for f in _plain(getattr(self, section))]
        other = [f"{name} = {was} (now {now})" for name, f, now, was in pairs if not f.metadata["free"] and was != now]
        if other:
            raise ValueError(f"{path} was made with {', '.join(other)}: keep that, or move the checkpoint away")


def _plain(record: Any) -> list[Field[Any]]:
    """The fields that are no sections."""
    return [f for f in fields(record) if not is_dataclass(getattr(record, f.name))]


def load(path: Path) -> Config:
    """The record of a TOML file. Raises ValueError, one line, for what is no field or has another type."""
    try:
        values = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    try:
        return _updated(Config(), values, "")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _updated(record: Any, values: Mapping[str, Any], prefix: str) -> Any:
    types = get_type_hints(type(record))
    changed: dict[str, Any] = {}
    for name, value in values.items():
        if name not in types:
            raise ValueError(f"there is no {prefix}{name}; known are {', '.join(types)}")
        if is_dataclass(types[name]) and isinstance(value, Mapping):
            changed[name] = _updated(getattr(record, name), value, f"{prefix}{name}.")
        elif not _is_a(value, types[name]):
            raise ValueError(f"{prefix}{name} is {value!r}, not {types[name].__name__}")
        else:
            changed[name] = types[name](value)
    return replace(record, **changed)


def _is_a(value: object, kind: type) -> bool:
    """Whether a value may stand for a field of this type; to Python a bool is a number too."""
    accepted = {float: (float, int), Path: (str, Path)}.get(kind, (kind,))
    return isinstance(value, accepted) and (kind is bool or not isinstance(value, bool))


def from_arguments(arguments: Sequence[str], section: str, about: str) -> tuple[Config, list[str]]:
    """The record of a stage's command line, and the words that are no options. Ends the process for a wrong one."""
    parser = argparse.ArgumentParser(prog=f"python -m gccllm.lab.train {section}", description=about.split("\n")[0])
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML; options override it.")
    default = Config()
    owners = {f.name: "" for f in _plain(default) if section in (f.metadata["stages"] or (section,))}
    owners |= {f.name: section for f in _plain(getattr(default, section))} if hasattr(default, section) else {}
    for name, owner in owners.items():
        record = getattr(default, owner) if owner else default
        kind, now = get_type_hints(type(record))[name], getattr(record, name)
        says = next(f.metadata["says"] for f in fields(record) if f.name == name)
        how: dict[str, Any] = {"action": argparse.BooleanOptionalAction} if kind is bool else {"type": kind}
        parser.add_argument(
            f"--{name.replace('_', '-')}", default=None, help=f"{says} [{now}]".replace("%", "%%"), **how
        )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    words, path = given.pop("words"), given.pop("config", None)
    config = load(path) if path else default
    own = {name: given.pop(name) for name in list(given) if owners[name]}
    return _updated(config, given | ({section: own} if own else {}), ""), words


def run(
    stage: Callable[..., object], section: str, about: str, arguments: Sequence[str], *, words: bool = False
) -> None:
    """Run a stage with the record of its command line. `words`: it also takes the words that are no options.

    Raises ValueError for words that it does not take.
    """
    config, rest = from_arguments(arguments, section, about)
    if rest and not words:
        raise ValueError(f"{rest[0]} is no option; see --help")
    config.out.mkdir(parents=True, exist_ok=True)
    stage(config, *([rest] if words else []))
