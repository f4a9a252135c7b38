"""`python -m gccllm.lab.train.large` prepare, check, command, convert, score; `--dry-run` for all but the trainer."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gccllm.commands.extras import WithExtras
from gccllm.lab.train.large import config

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group(cls=WithExtras, invoke_without_command=True)
@click.option("--dry-run", is_flag=True, help="Everything but the trainer, on a tiny random model. No GPU, no network.")
@click.option("--out", type=click.Path(path_type=Path), help="Where --dry-run leaves its files.")
@click.pass_context
def main(context: click.Context, dry_run: bool, out: Path | None) -> None:
    """Train a large model with the project's own reward, and bring its weights home. See docs/internals/train-7b.md."""
    if context.invoked_subcommand is not None:
        return
    if not dry_run:
        click.echo(context.get_help())
        return
    from gccllm.lab.train.large import convert, dryrun

    try:
        if out is not None:
            dryrun.dry_run(out, click.echo)
        else:
            with tempfile.TemporaryDirectory(prefix="gccllm-dry-") as folder:
                dryrun.dry_run(Path(folder), click.echo)
    except (dryrun.DryRunError, convert.ConvertError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("run_file", type=FILE)
@click.option(
    "--options", type=click.Choice(["no", "installed", "pip"]), default="no", show_default=True,
    help="Compare option names with the trainer's own list: as installed, or as `pip download` brings it.",
)  # fmt: skip
@click.option("--without-gpu", is_flag=True, help="Look at the file alone: no GPUs, trainer or rows are needed.")
def check(run_file: Path, options: str, without_gpu: bool) -> None:
    """Every mistake in RUN_FILE, one line each."""
    run = _load(run_file)
    lines = config.problems(run, real=not without_gpu)
    if options != "no":
        lines += _unknown_options(run, options)
    if lines:
        raise click.ClickException("\n       ".join(lines))
    click.echo(f"{run_file}: a run of {run.framework} with reward {run.reward}; nothing is wrong with it")


def _unknown_options(run: config.Run, where: str) -> list[str]:
    from gccllm.lab.train.large import options

    try:
        text = (options.installed if where == "installed" else options.fetched)(run.framework)
    except options.NoList as error:
        return [str(error)]
    return [
        f"{run.framework} has no option {name}" for name in options.unknown(run.framework, config.command(run), text)
    ]


@main.command()
@click.argument("run_file", type=FILE)
@click.argument("sources", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True)
@click.option(
    "--flag", "flags", multiple=True, default=("-O3",), show_default=True, help="Compiler flags of the sources."
)
@click.option("--val-share", default=0.025, show_default=True, help="Share of the programs held out.")
@click.option("--untested", is_flag=True, help="Keep functions whose tests were not looked at. Quick; wastes rollouts.")
def prepare(
    run_file: Path, sources: tuple[Path, ...], flags: tuple[str, ...], val_share: float, untested: bool
) -> None:
    """Make the rows of RUN_FILE from the C files in SOURCES (files, or folders with .c files below)."""
    from gccllm.lab.train.large import prompts

    run = _load(run_file)
    files = [f for s in sources for f in (sorted(s.rglob("*.c")) if s.is_dir() else [s])]
    wanted = prompts.Wanted(
        reserved=prompts.benchmark_texts(flags), length=_length_by(run.model) or prompts.estimated_length,
        most_tokens=run.prompt_tokens, is_tested=not untested,
    )  # fmt: skip
    examples, left = prompts.gather(files, wanted, flags=flags, reward=run.reward)
    held = [example for example in examples if prompts.is_validation(example.program, val_share)]
    rest = [example for example in examples if not prompts.is_validation(example.program, val_share)]
    try:
        prompts.write(rest, run.train_file, run.framework, "train")
        prompts.write(held, run.val_file, run.framework, "val")
    except ImportError as error:
        raise click.ClickException("parquet needs pyarrow; or name the files .jsonl, which verl reads too") from error
    click.echo(f"{len(rest)} rows in {run.train_file}, {len(held)} in {run.val_file}, from {len(files)} files")
    for reason, count in left.most_common():
        click.echo(f"  left out: {reason} {count}")
    if not rest or not held:
        raise click.ClickException("a file without rows cannot be trained on; give more sources or another --val-share")


def _length_by(model: str) -> Callable[[list[dict[str, str]]], int] | None:
    """Token counts by the model's own tokenizer where its folder is here; None: an estimate is used."""
    if not config.is_folder(model):
        return None
    from gccllm.lab.train.large import dryrun

    return lambda messages: len(dryrun.prompt_ids(Path(model).expanduser(), messages))


@main.command()
@click.argument("run_file", type=FILE)
def command(run_file: Path) -> None:
    """Print the trainer's command line for RUN_FILE."""
    run = _load(run_file)
    if lines := config.problems(run, real=False):
        raise click.ClickException("\n       ".join(lines))
    click.echo(config.shell_text(config.command(run)), nl=False)


@main.command()
@click.argument("folder", type=FOLDER)
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--kind", type=click.Choice(["f32", "f16", "q8_0"]), default="q8_0", show_default=True)
@click.option(
    "--compare", is_flag=True, help="Also compare next tokens with transformers; needs memory for f32 weights."
)
def convert(folder: Path, target: Path, kind: str, compare: bool) -> None:
    """Write the Hugging Face weights in FOLDER as the GGUF file TARGET, and check its tokenizer."""
    from gccllm.lab.train.large import convert as conversion
    from gccllm.lab.train.large import dryrun, parity

    try:
        count = conversion.convert(folder, target, kind)
        loaded = parity.Loaded(target)
    except (conversion.ConvertError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    try:
        if different := parity.same_tokens(loaded, folder):
            raise click.ClickException(f"tokenizer mismatch: llama.cpp cuts {json.dumps(different[0])} into other ids")
        click.echo(f"{target}: {count} tensors, {target.stat().st_size / 1e9:.2f} GB, tokenizer agrees")
        if compare:
            ids = loaded.tokenize(parity.SAMPLES[0])
            click.echo(f"next tokens: {parity.compare(loaded, dryrun.load_model(folder), ids)}")
    finally:
        loaded.close()


@main.command("score")
@click.argument("rows", type=FILE)
@click.argument("answers", type=FILE)
def score_(rows: Path, answers: Path) -> None:
    """Judge the answers in a jsonl file ({"index": row, "answer": text} a line) to the rows of a file for verl."""
    from gccllm.lab.train.large import hooks, prompts

    made = prompts.read(rows)
    for line in answers.read_text().splitlines():
        answer: dict[str, Any] = json.loads(line)
        row = made[answer["index"]]
        found = hooks.compute_score(row["data_source"], answer["answer"], row["reward_model"]["ground_truth"])
        click.echo(json.dumps({"index": answer["index"], **found}))


def _load(path: Path) -> config.Run:
    try:
        return config.load(path)
    except config.ConfigError as error:
        raise click.ClickException("\n       ".join(error.lines)) from error


if __name__ == "__main__":
    main()
