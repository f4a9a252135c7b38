"""What every subcommand needs: settings, the store, the project's events, and a named failure as one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from gccllm.base import config

COMMAND_LAST = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""What follows the first argument is another program's: click would look for `-h` in the middle of `-I/path/h`."""


def settings_in_force() -> config.Settings:
    """The settings in force; ignored values are reported on standard error."""
    settings = config.load()
    for complaint in settings.complaints:
        click.echo(complaint, err=True)
    return settings


def store_of(settings: config.Settings) -> Any:
    from gccllm.store import Store

    return Store(settings.store_dir, settings.project_cache)


def project_events(settings: config.Settings, everything: bool) -> tuple[Sequence[Any], set[str] | None]:
    """Events of the project's builds, and keys of what they used; all, and None, for `everything`."""
    from gccllm.base import events
    from gccllm.commands import by_project

    seen = list(events.read(settings.store_dir))
    if everything:
        return seen, None
    here = list(by_project.of_project(seen, settings.root(Path.cwd())))
    return here, by_project.used(here)


def tools_of(settings: config.Settings) -> Any:
    from gccllm.base.toolchain import Toolchain

    return Toolchain.find(settings["cc"] or None)


def or_exit(action: Any) -> Any:
    """Run it; a named failure becomes one line and exit status 1."""
    from gccllm.base.core import Decline

    try:
        return action()
    except Decline as decline:
        detail = f" ({decline.detail})" if decline.detail else ""
        raise click.ClickException(f"{decline.reason.label}: {decline.reason.says}{detail}") from decline
