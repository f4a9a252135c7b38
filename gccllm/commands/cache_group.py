"""`gccllm cache`: the store of rewrites."""

from __future__ import annotations

from pathlib import Path

import click

from gccllm.base.words import counted
from gccllm.commands import schema, terminal
from gccllm.commands.context import project_events, settings_in_force, store_of


@click.group()
def cache() -> None:
    """The store of rewrites."""


@cache.command("ls")
@click.option("--json", "as_json", is_flag=True)
@click.option("--all", "everything", is_flag=True, help="Also what other projects' builds used.")
def cache_ls(as_json: bool, everything: bool) -> None:
    """What the store holds for this project, by layer."""
    from gccllm.commands import report

    settings = settings_in_force()
    _, keys = project_events(settings, everything)
    found = [f for f in store_of(settings).entries() if keys is None or f.layer == "project" or f.entry.key in keys]
    if as_json:
        rows = [f.entry.model_dump(mode="json", exclude={"bench"}) | {"layer": f.layer} for f in found]
        click.echo(schema.as_json("cache ls", entries=rows))
        return
    console = terminal.console()
    for layer in ("project", "imported", "user"):
        entries = [f.entry for f in found if f.layer == layer]
        if accepted := [e for e in entries if e.outcome == "accepted"]:
            report.print_entries(console, accepted, f"{layer}: {counted(len(accepted), 'rewrite')}")
        if nothing := len(entries) - len(accepted):
            console.print(f"{layer}: nothing was found for {counted(nothing, 'function')}")


@cache.command("verify")
@click.argument("keys", nargs=-1)
@click.option("--project", "only_project", is_flag=True, help="Only the project's committed cache.")
def cache_verify(keys: tuple[str, ...], only_project: bool) -> None:
    """Run every check but timing again on accepted rewrites (all, or KEYS by their start or function name)."""
    from gccllm.commands import maintenance

    settings = settings_in_force()
    raise SystemExit(maintenance.verify(store_of(settings), settings, terminal.console(), keys, only_project))


@cache.command("export")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option("--all", "everything", is_flag=True, help="Also what only other projects' builds used.")
def cache_export(directory: Path | None, everything: bool) -> None:
    """Copy accepted rewrites that this project's builds used into DIRECTORY (default: the project's cache/)."""
    from gccllm.commands import maintenance

    settings = settings_in_force()
    target = directory or settings.project_cache
    if target is None:
        raise click.ClickException("no gccllm.toml here or above; name a directory, or run `gccllm init toml`")
    _, keys = project_events(settings, everything)
    count = maintenance.export(store_of(settings), target, keys)
    click.echo(f"{counted(count, 'rewrite')} exported to {target}")
    if not count and not everything:
        click.echo("no build of this project has used one (its builds are in the log; --all takes the whole store)")


@cache.command("import")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
def cache_import(directory: Path) -> None:
    """Take over the rewrites in DIRECTORY after checking each."""
    from gccllm.commands import maintenance

    settings = settings_in_force()
    raise SystemExit(maintenance.import_(store_of(settings), settings, directory, terminal.console()))


@cache.command("gc")
@click.option("--all", "everything", is_flag=True, help="Accepted rewrites too.")
def cache_gc(everything: bool) -> None:
    """Drop expired failures, unit answers, quarantine and leftovers; accepted rewrites stay."""
    from gccllm.commands import maintenance

    click.echo(maintenance.gc(store_of(settings_in_force()), everything))
