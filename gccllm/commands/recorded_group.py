"""`gccllm record` and `gccllm tests`: recorded calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from gccllm.base import config
from gccllm.commands import by_project, terminal
from gccllm.commands.context import COMMAND_LAST, or_exit, project_events, settings_in_force, tools_of

if TYPE_CHECKING:
    from gccllm.record.store import TestStore


@click.command(context_settings=COMMAND_LAST, short_help="Run COMMAND and keep calls of its hot functions as tests.")
@click.option("--dir", "parent", type=click.Path(file_okay=False, path_type=Path), help="Where the run's files lie.")
@click.option("--redact", is_flag=True, help="Keep only the bytes that the functions read.")
@click.option("--calls", type=click.IntRange(1, 64), help="Calls to keep of a function and process.")
@click.option("--keep", is_flag=True, help="Leave the run's files where they are.")
@click.option(
    "--limit", type=click.IntRange(1), default=2048, show_default=True, help="MiB of the run's files, at most."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def record(command: tuple[str, ...], **how: Any) -> None:
    """Run COMMAND, built with GCCLLM_MODE=record, and keep calls of its hot functions as tests.

    Recorded calls hold copies of the program's memory. They stay on this machine, readable by you alone.
    """
    from gccllm.commands import record_run as recorder
    from gccllm.record.store import TestStore

    settings = settings_in_force()
    store, tools = TestStore.of(settings.store_dir), tools_of(settings)
    most = how.pop("limit") << 20
    raise SystemExit(or_exit(lambda: recorder.run(command, store, recorder.Recording(most=most, **how), tools)))


@click.command(context_settings=COMMAND_LAST, short_help="Let COMMAND decide which bodies its functions get.")
@click.option("--budget", "budget_s", type=click.FloatRange(1), default=300.0, show_default=True, help="Seconds.")
@click.option("--metric", default="", help="Regular expression: its first group in the output counts, not CPU time.")
@click.option("--higher-is-better", is_flag=True, help="Of the metric.")
@click.option("--again", is_flag=True, help="Forget what an interrupted trial has measured.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def trial(command: tuple[str, ...], **how: Any) -> None:
    """Run COMMAND, built with GCCLLM_MODE=trial, again and again with other bodies in its hot functions.

    What makes the program faster is remembered, and the next build has it.
    """
    from gccllm.commands import trial_run
    from gccllm.trial.running import TrialError

    try:
        raise SystemExit(trial_run.run(command, settings_in_force(), terminal.console(), trial_run.How(**how)))
    except TrialError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:  # what was measured stays in the journal
        raise click.ClickException(f"{error.filename or 'the store'} cannot be written: {error.strerror}") from None


@click.group(short_help="Recorded calls, and what they are worth as tests.")
def tests() -> None:
    """Recorded calls: the tests and the timing workload of the functions that they reached."""


@tests.command("ls")
@click.option("--all", "everything", is_flag=True, help="All projects, not only the one whose directory this is.")
@click.option("--uncalled", is_flag=True, help="Also functions that no recorded run has called.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def tests_ls(everything: bool, uncalled: bool, as_json: bool) -> None:
    """This project's recorded functions: calls seen and kept, size, and what the tests are worth if known."""

    def listed(commands: Any, store: TestStore, settings: config.Settings) -> int:
        of_project = None if everything else by_project.recorded(project_events(settings, everything)[0])
        shown: int = commands.ls(store, terminal.console(), commands.Listed(of_project, uncalled), as_json)
        return shown

    _tests(listed)


@tests.command("show")
@click.argument("function")
@click.option("--all", "everything", is_flag=True, help="Every test, not only those that stand for most calls.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def tests_show(function: str, everything: bool, as_json: bool) -> None:
    """Each test of FUNCTION (a name or the start of a key): arguments, weight, edges taken, mutants killed."""
    if as_json:
        _tests(lambda commands, store, settings: commands.show_as_json(store, tools_of(settings), function))
    else:
        console = terminal.console()
        _tests(
            lambda commands, store, settings: commands.show(store, console, tools_of(settings), function, everything)
        )


@tests.command("minimise")
@click.argument("functions", nargs=-1)
@click.option("--keep", type=click.IntRange(1, 10_000), default=64, show_default=True, help="Tests to keep of each.")
def tests_minimise(functions: tuple[str, ...], keep: int) -> None:
    """Keep the tests that take an edge or kill a mutant, and a fair sample for timing."""
    console = terminal.console()
    _tests(lambda commands, store, settings: commands.minimise_all(store, console, tools_of(settings), functions, keep))


@tests.command("gc")
@click.option("--days", type=click.FloatRange(0), default=90.0, show_default=True, help="Unused for longer: removed.")
@click.option("--all", "everything", is_flag=True, help="Forget every test and every recorded function.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def tests_gc(days: float, everything: bool, dry_run: bool) -> None:
    """Remove tests whose function is gone, that no build has used for long, or that are damaged."""
    _tests(lambda commands, store, settings: commands.gc(store, terminal.console(), days, everything, dry_run))


def _tests(action: Any) -> NoReturn:
    """Run a subcommand of `tests` and leave with its status."""
    from gccllm.commands import record_commands as commands
    from gccllm.record.store import TestStore

    settings = settings_in_force()
    try:
        code = or_exit(lambda: action(commands, TestStore.of(settings.store_dir), settings))
    except commands.Unknown as error:
        raise click.ClickException(str(error)) from error
    raise SystemExit(code)
