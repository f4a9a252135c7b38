"""`gccllm`: one function a subcommand. `gcc-llm`, the compiler, has no options of its own.

Heavy imports stay inside the functions, so that `gccllm --help` and `gccllm config` start at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from gccllm import __version__
from gccllm.base import config
from gccllm.base.limits import LIMITS
from gccllm.base.words import counted
from gccllm.commands import schema, terminal
from gccllm.commands.extras import WithPlugins
from gccllm.commands.init import STARTERS, Differs, Starter


def _settings() -> config.Settings:
    """The settings in force; what of them was not taken is said on standard error."""
    settings = config.load()
    for complaint in settings.complaints:
        click.echo(complaint, err=True)
    return settings


def _store(settings: config.Settings) -> Any:
    from gccllm.store import Store

    return Store(settings.store_dir, settings.project_cache)


def _project(settings: config.Settings, everything: bool) -> tuple[Sequence[Any], set[str] | None]:
    """Events of the project's builds, and keys of what they used; all, and None, for `everything`."""
    from gccllm.base import events
    from gccllm.commands import by_project

    told = list(events.read(settings.store_dir))
    if everything:
        return told, None
    here = list(by_project.of_project(told, by_project.root_of(settings, Path.cwd())))
    return here, by_project.used(here)


COMMAND_LAST = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""What follows the first argument is another program's: click would look for `-h` in the middle of `-I/path/h`."""


@click.group(cls=WithPlugins, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gcc-llm")
def main() -> None:
    """Read, tune and check what gcc-llm does in your builds. To build: CC=gcc-llm make."""
    terminal.take_any_text()
    try:
        Path.cwd()
    except FileNotFoundError:
        raise click.ClickException("the current directory was removed: go to one that exists") from None


@main.command(short_help="What builds admitted, declined and queued, by reason.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.option("--clear", is_flag=True, help="Forget the log (the store stays).")
@click.option("--all", "everything", is_flag=True, help="All projects, not only the one whose directory this is.")
@click.option("--stages", "by_stage", is_flag=True, help="CPU seconds of the work, by stage.")
def stats(as_json: bool, clear: bool, everything: bool, by_stage: bool) -> None:
    """Counts of what this project's builds admitted, declined and queued, by reason."""
    from gccllm.base import stages
    from gccllm.commands import by_project, report
    from gccllm.commands.queue import queued_units

    settings = _settings()
    if clear:
        (settings.store_dir / "log" / "events.jsonl").unlink(missing_ok=True)
        return
    told, keys = _project(settings, everything)
    spent = stages.total(told)
    if by_stage and not as_json:
        report.print_stages(terminal.console(), spent)
        return
    summary = report.summarise(told)
    entries = [
        f.entry for f in _store(settings).entries() if keys is None or f.layer == "project" or f.entry.key in keys
    ]
    root = None if everything else by_project.root_of(settings, Path.cwd())
    waiting = len(queued_units(settings.store_dir, root))
    summary["units"] = max(summary["units"], waiting)  # what is queued at once is in no log yet
    if as_json:
        held = {"accepted": sum(e.outcome == "accepted" for e in entries), "entries": len(entries)}
        click.echo(schema.as_json("stats", **summary, waiting=waiting, stages=spent, store=held))
    else:
        report.print_stats(terminal.console(), summary, entries, waiting)


@main.command(context_settings=COMMAND_LAST)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
@click.option("--work", is_flag=True, help="Work on undecided functions now.")
@click.option("-v", "--verbose", is_flag=True, help="Every candidate and its verdict.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def explain(file: Path, flags: tuple[str, ...], work: bool, verbose: bool, as_json: bool) -> None:
    """Every function of FILE.c: admitted, declined or queued, and why.

    FLAGS: as given to gcc-llm; without any, those of the file's last build, else -O3.
    """
    from gccllm.base import events
    from gccllm.commands import oneshot, report

    ours = {"--work", "--json", "--verbose", "-v"} & set(flags)  # people write them last as well
    work, as_json, verbose = (
        given or not ours.isdisjoint(names)
        for given, names in ((work, ["--work"]), (as_json, ["--json"]), (verbose, ["-v", "--verbose"]))
    )
    flags = tuple(flag for flag in flags if flag not in ours)
    settings = _settings()
    if not flags:
        last = oneshot.last_flags(file, events.read(settings.store_dir))
        flags = ("-O3",) if last is None else last
        if last is None and not as_json:
            click.echo(f"no build of {file} is in the log; as with -O3:", err=True)
    result = _or_exit(lambda: oneshot.explain(file, flags, settings, is_work=work))
    if as_json:
        unit = result.unit_reason.label if result.unit_reason else None
        rows = report.decision_rows(result.decisions)
        click.echo(schema.as_json("explain", functions=rows, unit=unit, detail=result.detail))
        return
    if (reason := result.unit_reason) is not None:
        detail = f" ({result.detail})" if result.detail else ""
        click.echo(f"{file}: declined {reason.label}: {reason.says}{detail}")
        if reason.next_step:
            click.echo(f"What can be done: {reason.next_step}")
    report.print_decisions(terminal.console(), result.decisions, verbose)


@main.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def show(name: str, as_json: bool) -> None:
    """Evidence, model's answer, and the rewrite beside gcc's code. NAME: a function (C++ ones as in the source, or
    mangled) or the start of a key."""
    from gccllm.base import names
    from gccllm.commands import show as showing

    entries = [found.entry for found in _store(_settings()).entries()]
    meant = names.named(name, {entry.function for entry in entries})
    entries = showing.newest(e for e in entries if e.function in meant or (name and e.key.startswith(name)))
    if not entries:
        why = "`gccllm explain FILE.c` says why, `gccllm cache ls` lists what it has"
        raise click.ClickException(f"the store has nothing about '{name}': {why}")
    if as_json:
        click.echo(schema.as_json("show", **showing.as_words(entries)))
        return
    console = terminal.console()
    with terminal.paged(console):
        showing.print_entry(console, entries[0])
        if len(entries) > 1:
            others = ", ".join(f"{entry.key[:12]} ({entry.source})" for entry in entries[1:9])
            console.print(f"{len(entries) - 1} more of that name: {others}", soft_wrap=True, markup=False)


@main.group(invoke_without_command=True)
@click.pass_context
def init(context: click.Context) -> None:
    """Write a file with which a project builds with gcc-llm. One that is there and differs stays, without --force."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _add_starter(row: Starter) -> None:
    @init.command(row.word, help=f"Write {row.path}: {row.says}.", short_help=f"{row.path}: {row.says}")
    @click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path())
    @click.option("--force", is_flag=True, help="Overwrite a file that differs.")
    def write(directory: Path, force: bool) -> None:
        try:
            is_new = _or_exit(lambda: row.write(directory, force))
        except Differs as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"{directory / row.path}: {'written' if is_new else 'as it was'}")
        if not (directory / row.beside).exists():
            click.echo(f"no {row.beside} in {directory.resolve()}: is it the project's directory?")
        click.echo("\n  ".join(["next:", *row.steps(directory)]))


for _row in STARTERS:
    _add_starter(_row)


@main.command()
@click.option("--budget", type=click.FloatRange(0), help="Seconds in all; the rest stays queued.")
@click.option("--again", is_flag=True, help="Also retry functions on which nothing was found.")
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(1),
    help="Processes that work side by side (default: one a CPU that we may use).",
)
def tune(budget: float | None, again: bool, jobs: int | None) -> None:
    """Work the queue that builds have left. Ctrl-C at any time: what is done is kept."""
    from gccllm.commands import queue

    settings = _settings()
    raise SystemExit(queue.tune(settings, terminal.console(), budget, again, jobs or queue.default_jobs()))


@main.command()
def watch() -> None:
    """Follow builds from another terminal, until Ctrl-C."""
    from gccllm.commands import watch as watching

    settings = _settings()
    click.echo(f"watching {settings.store_dir}")
    try:
        for event in watching.follow(settings.store_dir):
            if line := watching.words(event):
                click.echo(line)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@main.command(short_help="Serve the model on an OpenAI-compatible endpoint.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True)
@click.option("--socket", type=click.Path(path_type=Path), help="A Unix socket instead of a port.")
@click.option("--model", type=click.Path(path_type=Path), help="A GGUF file instead of the built-in model.")
@click.option("--allow-remote", is_flag=True, help="Needed to listen anywhere but on this machine.")
def serve(host: str, port: int, socket: Path | None, model: Path | None, allow_remote: bool) -> None:
    """Serve the model on an OpenAI-compatible endpoint (use it with GCCLLM_ENDPOINT)."""
    from gccllm.commands import serve as server

    try:
        _or_exit(lambda: server.serve(host=host, port=port, socket=socket, model=model, allow_remote=allow_remote))
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def doctor(as_json: bool) -> None:
    """Check the installation and say how to fix what is wrong."""
    from gccllm.commands import doctor as checks

    raise SystemExit(checks.run_doctor(terminal.console(), config.load(), as_json))


@main.command(context_settings=COMMAND_LAST)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("gccllm.profile"), show_default=True)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def profile(output: Path, command: tuple[str, ...]) -> None:
    """Run COMMAND and note which functions the time goes to."""
    from gccllm.unit import profile as profiler

    raise SystemExit(_or_exit(lambda: profiler.run(list(command), output)))


@main.command(context_settings=COMMAND_LAST, short_help="Run COMMAND and keep calls of its hot functions as tests.")
@click.option("--dir", "parent", type=click.Path(file_okay=False, path_type=Path), help="Where the run's files lie.")
@click.option("--redact", is_flag=True, help="Keep only the bytes that the functions read.")
@click.option("--calls", type=click.IntRange(1, 64), help="Calls to keep of a function and process.")
@click.option("--keep", is_flag=True, help="Leave the run's files where they are.")
@click.option(
    "--limit", type=click.IntRange(1), default=2048, show_default=True, help="MiB of the run's files, at most."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def record(
    parent: Path | None, redact: bool, calls: int | None, keep: bool, limit: int, command: tuple[str, ...]
) -> None:  # fmt: skip
    """Run COMMAND, built with GCCLLM_MODE=record, and keep calls of its hot functions as tests.

    Recorded calls hold copies of the program's memory. They stay on this machine, readable by you alone.
    """
    from gccllm.commands import record_run as recorder
    from gccllm.record.store import TestStore

    settings = _settings()
    store, tools = TestStore.of(settings.store_dir), _tools(settings)
    code = _or_exit(
        lambda: recorder.run(
            list(command), store, parent=parent, calls=calls, redact=redact, keep=keep, tools=tools, most=limit << 20
        )
    )
    raise SystemExit(code)


@main.group(short_help="Recorded calls, and what they are worth as tests.")
def tests() -> None:
    """Recorded calls: the tests and the timing workload of the functions that they reached."""


@tests.command("ls")
@click.option("--all", "everything", is_flag=True, help="Also functions that no recorded run has called.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def tests_ls(everything: bool, as_json: bool) -> None:
    """Recorded functions: calls seen, calls kept, size, and what the tests are worth if known."""
    _tests(lambda commands, store, tools: commands.ls(store, terminal.console(), everything, as_json))


@tests.command("show")
@click.argument("function")
@click.option("--all", "everything", is_flag=True, help="Every test, not only those that stand for most calls.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def tests_show(function: str, everything: bool, as_json: bool) -> None:
    """Each test of FUNCTION (a name or the start of a key): arguments, weight, edges taken, mutants killed."""
    _tests(
        lambda commands, store, tools: commands.show(store, terminal.console(), tools, function, everything, as_json)
    )


@tests.command("minimise")
@click.argument("functions", nargs=-1)
@click.option("--keep", type=click.IntRange(1, 10_000), default=64, show_default=True, help="Tests to keep of each.")
def tests_minimise(functions: tuple[str, ...], keep: int) -> None:
    """Keep the tests that take an edge or kill a mutant, and a fair sample for timing."""
    _tests(lambda commands, store, tools: commands.minimise_all(store, terminal.console(), tools, functions, keep))


@tests.command("gc")
@click.option("--days", type=click.FloatRange(0), default=90.0, show_default=True, help="Unused for longer: removed.")
@click.option("--all", "everything", is_flag=True, help="Forget every test and every recorded function.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def tests_gc(days: float, everything: bool, dry_run: bool) -> None:
    """Remove tests whose function is gone, that no build has used for long, or that are damaged."""
    _tests(lambda commands, store, tools: commands.gc(store, terminal.console(), days, everything, dry_run))


@main.group()
def cache() -> None:
    """The store of rewrites."""


@cache.command("ls")
@click.option("--json", "as_json", is_flag=True)
@click.option("--all", "everything", is_flag=True, help="Also what other projects' builds used.")
def cache_ls(as_json: bool, everything: bool) -> None:
    """What the store holds for this project, by layer."""
    from gccllm.commands import report

    settings = _settings()
    _, keys = _project(settings, everything)
    found = [f for f in _store(settings).entries() if keys is None or f.layer == "project" or f.entry.key in keys]
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

    settings = _settings()
    raise SystemExit(maintenance.verify(_store(settings), settings, terminal.console(), keys, only_project))


@cache.command("export")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option("--all", "everything", is_flag=True, help="Also what only other projects' builds used.")
def cache_export(directory: Path | None, everything: bool) -> None:
    """Copy accepted rewrites that this project's builds used into DIRECTORY (default: the project's cache/)."""
    from gccllm.commands import maintenance

    settings = _settings()
    target = directory or settings.project_cache
    if target is None:
        raise click.ClickException("no gccllm.toml here or above; name a directory, or run `gccllm init toml`")
    _, keys = _project(settings, everything)
    count = maintenance.export(_store(settings), target, keys)
    click.echo(f"{counted(count, 'rewrite')} exported to {target}")
    if not count and not everything:
        click.echo("no build of this project has used one (its builds are in the log; --all takes the whole store)")


@cache.command("import")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
def cache_import(directory: Path) -> None:
    """Take over the rewrites in DIRECTORY after checking each."""
    from gccllm.commands import maintenance

    settings = _settings()
    raise SystemExit(maintenance.import_(_store(settings), settings, directory, terminal.console()))


@cache.command("gc")
@click.option("--all", "everything", is_flag=True, help="Accepted rewrites too.")
def cache_gc(everything: bool) -> None:
    """Drop expired failures, unit answers, quarantine and leftovers; accepted rewrites stay."""
    from gccllm.commands import maintenance

    click.echo(maintenance.gc(_store(_settings()), everything))


@main.command("config")
@click.option("--json", "as_json", is_flag=True)
def config_(as_json: bool) -> None:
    """Each setting, its value, where that came from, and how to set it. Exit status 1: one was not taken."""
    from gccllm.commands import report

    settings = config.load()
    if as_json:
        rows = {
            s.name: {
                "value": settings[s.name], "origin": settings.origins[s.name], "environment": s.env, "says": s.says
            }
            for s in config.SETTINGS
        }  # fmt: skip
        where = {"project": settings.project, "store": settings.store_dir, "complaints": settings.complaints}
        variables = {
            name: {"is_set": name in os.environ, "says": says} for name, says in config.OTHER_VARIABLES.items()
        }
        limits = {name: {"value": value, "says": says} for name, value, says in LIMITS.rows()}
        click.echo(schema.as_json("config", settings=rows, variables=variables, limits=limits, **where))
    else:
        report.print_settings(terminal.console(), settings)
    raise SystemExit(1 if settings.complaints else 0)


def _tools(settings: config.Settings) -> Any:
    from gccllm.base.toolchain import Toolchain

    return Toolchain.find(settings["cc"] or None)


def _tests(action: Any) -> None:
    """Run a subcommand of `tests` and leave with its status."""
    from gccllm.commands import record_commands as commands
    from gccllm.record.store import TestStore

    settings = _settings()
    try:
        code = _or_exit(lambda: action(commands, TestStore.of(settings.store_dir), _tools(settings)))
    except commands.Unknown as error:
        raise click.ClickException(str(error)) from error
    raise SystemExit(code)


def _or_exit(action: Any) -> Any:
    """Run it; a named failure becomes one line and exit status 1."""
    from gccllm.base.core import Quit

    try:
        return action()
    except Quit as quit_:
        detail = f" ({quit_.detail})" if quit_.detail else ""
        raise click.ClickException(f"{quit_.reason.label}: {quit_.reason.says}{detail}") from quit_


def run(argv: Sequence[str] | None = None) -> None:
    main(args=list(argv) if argv is not None else sys.argv[1:])


if __name__ == "__main__":
    run()
