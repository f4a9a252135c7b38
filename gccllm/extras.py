"""Parts of the package that need more than it installs: a missing library is one line that says what to install."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Any

import click

PACKAGE = "gcc-llm"


class WithExtras(click.Group):
    """A group of commands some of which need an extra."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except ModuleNotFoundError as error:
            if extra := extra_of((error.name or "").split(".")[0]):
                said = f"this needs {error.name}: pip install '{PACKAGE}[{extra}]'"
                raise click.ClickException(said) from error
            raise


def extra_of(module: str) -> str:
    """The extra of this package that brings a library; empty when none does."""
    try:
        needed = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return ""
    for row in needed:
        found = re.match(rf"{re.escape(module)}\b.*extra == ['\"](\w+)['\"]", row, re.IGNORECASE)
        if found is not None and found[1] != "dev":
            return found[1]
    return ""
