"""`gccllm bench`: runs one of the benchmarks."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import click

SUITES = ("kernels", "model", "mutants", "overhead", "programs", "recorded")


@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.option("--suite", type=click.Choice(SUITES), default="kernels", show_default=True)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def bench(suite: str, args: tuple[str, ...]) -> None:
    """Run a benchmark; ARGS go to the suite (try `gccllm bench --suite kernels -- --help`)."""
    # Called by its path, from no active environment: the launcher beside us is the one to measure.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    raise SystemExit(importlib.import_module(f"gccllm.lab.bench.{suite}").main(list(args)))
