"""Missing libraries of an extra and missing system files, reported in one line instead of a traceback."""

from __future__ import annotations

import errno
import re
from importlib import metadata
from typing import Any

import click

PACKAGES = ("gcc-llm", "gcc-llm-lab")
COMMANDS = "gccllm.commands"
"""The entry points that are subcommands of `gccllm`."""
LAB_COMMANDS = ("bench",)


class WithExtras(click.Group):
    """A group of commands some of which need an extra."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except ModuleNotFoundError as error:
            if extra := extra_of((error.name or "").split(".")[0]):
                raise click.ClickException(f"this needs {error.name}: pip install '{extra}'") from error
            raise
        except OSError as error:
            if error.errno == errno.EPIPE:  # `| head`: click ends quietly
                raise
            raise click.ClickException(f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")) from error


class WithPlugins(WithExtras):
    """Such a group, with the commands that other distributions bring."""

    def list_commands(self, context: click.Context) -> list[str]:
        brought = metadata.entry_points(group=COMMANDS).names
        return sorted({*super().list_commands(context), *brought})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if own := super().get_command(context, name):
            return own
        for point in metadata.entry_points(group=COMMANDS, name=name):
            command: click.Command = point.load()
            return command
        if name in LAB_COMMANDS:
            raise click.ClickException(f"`{name}` is a command of the lab: in a clone, pip install ./gccllm/lab")
        return None


def extra_of(module: str) -> str:
    """What to install for a library, as `package[extra]`; empty when no extra of ours brings it."""
    for package in PACKAGES:
        try:
            needed = metadata.requires(package) or []
        except metadata.PackageNotFoundError:
            continue
        for row in needed:
            found = re.match(rf"{re.escape(module)}\b.*extra == ['\"](\w+)['\"]", row, re.IGNORECASE)
            if found is not None and found[1] != "dev":
                return f"{package}[{found[1]}]"
    return ""
