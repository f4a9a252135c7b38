"""`gccllm`: one function a subcommand. `gcc-llm`, the compiler, has no options of its own.

Heavy imports stay inside the functions, so that `gccllm --help` and `gccllm config` start at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from gccllm import __version__
from gccllm.base import config
from gccllm.base.limits import LIMITS
from gccllm.commands import schema, terminal
from gccllm.commands.cache_group import cache
from gccllm.commands.context import COMMAND_LAST, or_exit, project_events, settings_in_force, store_of
from gccllm.commands.extras import WithPlugins
from gccllm.commands.init import STARTERS, Differs, Starter
from gccllm.commands.recorded_group import record, tests, trial


@click.group(cls=WithPlugins, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gcc-llm")
def main() -> None:
    """Read, tune and check what gcc-llm does in your builds. To build: make CC=gcc-llm."""
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
    from gccllm.commands import report
    from gccllm.commands.queue import queued_units

    settings = settings_in_force()
    if clear:
        (settings.store_dir / "log" / "events.jsonl").unlink(missing_ok=True)
        return
    seen, keys = project_events(settings, everything)
    spent = stages.total(seen)
    if by_stage and not as_json:
        report.print_stages(terminal.console(), spent)
        return
    summary = report.summarise(seen)
    entries = [
        f.entry for f in store_of(settings).entries() if keys is None or f.layer == "project" or f.entry.key in keys
    ]
    root = None if everything else settings.root(Path.cwd())
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
    from gccllm.commands import oneshot, report

    ours = {"--work", "--json", "--verbose", "-v"} & set(flags)  # people write them last as well
    work, as_json, verbose = (
        given or not ours.isdisjoint(names)
        for given, names in ((work, ["--work"]), (as_json, ["--json"]), (verbose, ["-v", "--verbose"]))
    )
    flags = tuple(flag for flag in flags if flag not in ours)
    settings = settings_in_force()
    last = oneshot.LastBuild(flags, Path.cwd()) if flags else oneshot.last_build(file, settings.store_dir)
    if last is None:
        last = oneshot.LastBuild(("-O3",), Path.cwd())
        if not as_json:
            click.echo(f"no build of {file} is in the log; as with -O3:", err=True)
    result = or_exit(lambda: oneshot.explain(file, last.flags, settings, is_work=work, cwd=last.cwd))
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

    entries = [found.entry for found in store_of(settings_in_force()).entries()]
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
            is_new = or_exit(lambda: row.write(directory, force))
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
    help="Parallel worker processes (default: one for each usable CPU).",
)
def tune(budget: float | None, again: bool, jobs: int | None) -> None:
    """Work the queue that builds have left. Ctrl-C at any time: what is done is kept."""
    from gccllm.commands import queue

    settings = settings_in_force()
    raise SystemExit(queue.tune(settings, terminal.console(), budget, again, jobs or queue.default_jobs()))


@main.command()
def watch() -> None:
    """Follow builds from another terminal, until Ctrl-C."""
    from gccllm.commands import watch as watching

    settings = settings_in_force()
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
        or_exit(lambda: server.serve(server.Address(host, port, socket, allow_remote), model))
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

    raise SystemExit(or_exit(lambda: profiler.run(list(command), output)))


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


for _group in (record, tests, cache, trial):
    main.add_command(_group)


def run(argv: Sequence[str] | None = None) -> None:
    main(args=list(argv) if argv is not None else sys.argv[1:])


if __name__ == "__main__":
    run()
