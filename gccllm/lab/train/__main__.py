"""`python -m gccllm.lab.train STAGE [options]`: one stage of training; without a stage, the list of them.

The only program of all stages: a spawned process imports its parent's main module again, unless that is a `__main__`,
and a process that scores would load torch for nothing. What the user can mend, and a library that is missing, is one
line and no traceback.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

STAGES = {
    "corpus": ("corpus", "Draw, compile, check and time pairs."),
    "real": ("corpus.real", "Judge functions of real C packages, fetched by name: `real [PACKAGE ...]`."),
    "card": ("corpus.card", "Print the counts of both as a table."),
    "sft": ("sft", "Train on the corpus, or on a file of ids."),
    "ppo": ("ppo", "Continue with PPO: the verifier and the timer are the reward."),
    "restore": ("restore", "Make a checkpoint of an exported model."),
    "export": ("export", "Write a checkpoint as GGUF, with its vocabulary."),
    "evaluate": ("evaluate", "Print pass rates on the held-out splits."),
    "compare": ("compare", "Compare checkpoints on the same held-out rows: `compare CHECKPOINT ...`."),
    "pack": ("pack", "Pack a corpus, or weights, for a machine with a GPU and back."),
    "plot": ("plot", "Plot curves: `plot CSV PNG`."),
}
"""The module of each stage, whose `main` takes the options, and a line of help."""


def main(arguments: Sequence[str]) -> None:
    """Run the stage that the first word names."""
    name, *options = arguments or ["--help"]
    if name in ("-h", "--help"):
        rows = [f"  {stage:<10}{says}" for stage, (_, says) in STAGES.items()]
        print("usage: python -m gccllm.lab.train STAGE [--help] [options]", "", *rows, sep="\n")
        return
    if name not in STAGES:
        sys.exit(f"there is no stage {name}; known are {', '.join(STAGES)}")
    try:
        importlib.import_module(f"gccllm.lab.train.{STAGES[name][0]}").main(options)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gccllm"):
            raise
        sys.exit(f"{name}: this needs {error.name}{_hint(error.name)}")
    except (ValueError, OSError) as error:
        sys.exit(f"{name}: {error}")


def _hint(library: str) -> str:
    """How to install a library; empty where that is not known."""
    try:
        from gccllm.commands.extras import extra_of  # needs click, which a machine with a GPU may lack
    except ModuleNotFoundError:
        return ""
    extra = extra_of(library.split(".")[0]).replace("gcc-llm-lab", "./gccllm/lab")  # the lab is on no index
    return f": in a clone, pip install '{extra}'" if extra else ""


if __name__ == "__main__":
    main(sys.argv[1:])
