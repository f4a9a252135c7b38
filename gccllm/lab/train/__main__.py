"""`python -m gccllm.lab.train --out .train all`: corpus, sft, ppo, export, card, eval. Each resumes where it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click

import gccllm
from gccllm.commands.extras import WithExtras

BUILTIN = Path(gccllm.__file__).with_name("propose") / "builtin"


@click.group(cls=WithExtras)
@click.option("--out", type=click.Path(path_type=Path), default=Path(".train"), show_default=True, help="Work folder.")
@click.option("--seed", default=1, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.pass_context
def main(context: click.Context, out: Path, seed: int, threads: int) -> None:
    """Train the built-in model, stage by stage or all at once."""
    out.mkdir(parents=True, exist_ok=True)
    context.obj = (out, seed, threads)


@main.command()
@click.option("--rows", default=100_000, show_default=True, help="Useful rows wanted.")
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--quick", is_flag=True, help="Check with plain loops, time nothing: more rows beside timed ones.")
@click.pass_obj
def corpus(common: tuple[Path, int, int], rows: int, minutes: float, workers: int, quick: bool) -> None:
    """Draw, compile, check and time pairs."""
    from gccllm.lab.train import corpus

    corpus.generate(common[0], common[1], rows, minutes * 60, workers=workers, quick=quick)


@main.command()
@click.argument("packages", nargs=-1)
@click.option("--minutes", default=20.0, show_default=True)
@click.pass_obj
def real(common: tuple[Path, int, int], packages: tuple[str, ...], minutes: float) -> None:
    """Functions of real C packages (fetched by name), and the compiler recipe that is best for each."""
    from gccllm.lab.train.corpus.real import PACKAGES, harvest_real, summary

    harvest_real(common[0].resolve(), packages or PACKAGES, minutes * 60)
    click.echo(summary(common[0]))


@main.command()
@click.pass_obj
def card(common: tuple[Path, int, int]) -> None:
    """Counts of the corpus, as a table."""
    from gccllm.lab.train.corpus.card import card

    click.echo(card(common[0]))


@main.command()
@click.option("--minutes", default=60.0, show_default=True)
@click.option("--hidden", default=160, show_default=True)
@click.option("--inner", default=448, show_default=True)
@click.option("--layers", default=6, show_default=True)
@click.option("--heads", default=5, show_default=True)
@click.option("--unpaired", is_flag=True, help="Answers of other prompts: the plain model of the evaluation, in `lm/`.")
@click.pass_obj
def sft(
    common: tuple[Path, int, int], minutes: float, hidden: int, inner: int, layers: int, heads: int, unpaired: bool
) -> None:
    """Supervised training on the corpus."""
    import shutil

    from gccllm.lab.train import sft
    from gccllm.lab.train.corpus import NAME

    out, seed, threads = common
    shape = {"hidden": hidden, "inner": inner, "layers": layers, "heads": heads}
    if unpaired:
        (out / "lm").mkdir(exist_ok=True)
        shutil.copyfile(out / "tokens.json", out / "lm" / "tokens.json")
    sft.train(
        out / "lm" if unpaired else out, minutes * 60, threads=threads, seed=seed, shape=shape, corpus=out / NAME,
        paired=not unpaired,
    )  # fmt: skip


@main.command()
@click.option("--minutes", default=20.0, show_default=True)
@click.option("--prompts", default=64, show_default=True)
@click.option("--samples", default=8, show_default=True)
@click.option("--rate", default=4e-4, show_default=True)
@click.option("--reward", default="ours", show_default=True, help="ours, speedup or correctness.")
@click.option("--baseline", default="both", show_default=True, help="value, group or both.")
@click.option("--entropy", default=0.01, show_default=True, help="Weight of the entropy bonus.")
@click.option("--kl", default=0.05, show_default=True, help="Reward lost per nat of log ratio to the supervised model.")
@click.option("--workers", default=0, show_default=True, help="Processes that score; 0: this one.")
@click.option("--ray", default="", help="Address of a Ray cluster that scores.")
@click.option("--fresh-batches", default=6, show_default=True, help="New batches of pairs to draw prompts from.")
@click.option("--rows-at-once", default=128, show_default=True, help="Answers under way at a time; a GPU takes 2048.")
@click.option("--chunk-tokens", default=1500, show_default=True, help="Tokens a pass of the model; a GPU takes 60000.")
@click.pass_obj
def ppo(
    common: tuple[Path, int, int], minutes: float, prompts: int, samples: int, rate: float, reward: str, baseline: str,
    entropy: float, kl: float, workers: int, ray: str, fresh_batches: int, rows_at_once: int, chunk_tokens: int,
) -> None:  # fmt: skip
    """PPO from the supervised checkpoint; the verifier and the timer are the reward."""
    from gccllm.lab.train.reinforce import reinforce

    reinforce(
        common[0], minutes * 60, prompts=prompts, samples=samples, rate=rate, reward=reward, baseline=baseline,
        entropy=entropy, kl=kl, workers=workers, address=ray or None, fresh_batches=fresh_batches, seed=common[1],
        threads=common[2], rows_at_once=rows_at_once, chunk_tokens=chunk_tokens,
    )  # fmt: skip


@main.command()
@click.option("--minutes", default=8.0, show_default=True, help="Of training, for each dialect.")
@click.option("--rows", default=100, show_default=True)
@click.pass_obj
def dialects(common: tuple[Path, int, int], minutes: float, rows: int) -> None:
    """Compare assembly answers with C answers."""
    from gccllm.lab.train.dialects import compare

    shape = {"hidden": 128, "inner": 384, "layers": 4, "heads": 4}
    compare(common[0], minutes * 60, rows=rows, shape=shape, threads=common[2])


@main.command()
@click.option("--checkpoint", default="ppo-average.pt", show_default=True, help="In the work folder.")
@click.option("--to", type=click.Path(path_type=Path), default=BUILTIN, show_default=True)
@click.pass_obj
def export(common: tuple[Path, int, int], checkpoint: str, to: Path) -> None:
    """Write a checkpoint and its words where the package has its model."""
    from gccllm.lab.train import export
    from gccllm.lab.train.corpus import NAME

    export.ship(common[0] / checkpoint, common[0] / "tokens.json", to, common[0] / NAME)
    click.echo(f"export: {(to / 'model.gguf').stat().st_size / 1e6:.2f} MB in {to}")


@main.command()
@click.option("--model", type=click.Path(path_type=Path, exists=True, file_okay=False), default=BUILTIN,
              show_default=True, help="Folder of model.gguf and tokens.json.")  # fmt: skip
@click.pass_obj
def restore(common: tuple[Path, int, int], model: Path) -> None:
    """A checkpoint of an exported model, so that `sft` and `ppo` go on from it."""
    import shutil

    from gccllm.lab.train import export, sft

    out = common[0]
    for name in ("checkpoint.pt", "tokens.json"):
        if (out / name).exists():
            raise click.ClickException(f"{out / name} is there: move it away, or name another folder (--out)")
    try:
        weights = export.restore(model / "model.gguf")
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    shutil.copyfile(model / "tokens.json", out / "tokens.json")
    sft.save(out / "checkpoint.pt", weights, None, 0.0, 0.0, 0.0)
    click.echo(f"restore: {sum(p.numel() for p in weights.parameters()) / 1e6:.2f} M parameters in {out}")


@main.command(name="eval")
@click.option("--checkpoint", default="ppo-average.pt", show_default=True)
@click.option("--rows", default=150, show_default=True, help="Of each held-out split.")
@click.option("--n", default=8, show_default=True)
@click.pass_obj
def evaluate_(common: tuple[Path, int, int], checkpoint: str, rows: int, n: int) -> None:
    """Pass rates of a checkpoint on the held-out splits."""
    from gccllm.base.toolchain import Toolchain
    from gccllm.lab.train import sft
    from gccllm.lab.train.corpus import NAME, reserved_texts
    from gccllm.lab.train.evaluate import evaluate
    from gccllm.lab.train.examples import load_rows
    from gccllm.propose.tokens import Tokens

    out = common[0]
    model, _ = sft.load(out / checkpoint)
    splits = load_rows(out / NAME, reserved_texts(Toolchain.find()))
    result = evaluate(model, Tokens.load(out / "tokens.json"), splits, out, rows=rows, n=n)
    (out / f"evaluation-{Path(checkpoint).stem}.json").write_text(json.dumps(result, indent=1) + "\n")


@main.command()
@click.argument("checkpoints", nargs=-1, required=True)
@click.option("--rows", default=1000, show_default=True, help="Of the split, those that have something to find.")
@click.option("--split", default="unseen", show_default=True)
@click.option("--n", default=8, show_default=True)
@click.option("--workers", default=0, show_default=True, help="Processes that check and time; 0: this one.")
@click.pass_obj
def compare(
    common: tuple[Path, int, int], checkpoints: tuple[str, ...], rows: int, split: str, n: int, workers: int
) -> None:  # fmt: skip
    """Checkpoints of the work folder against the first of them, on the same held-out rows."""
    from gccllm.base.toolchain import Toolchain
    from gccllm.lab.train import compare as comparison
    from gccllm.lab.train.corpus import NAME, reserved_texts
    from gccllm.lab.train.examples import SPLITS, load_rows
    from gccllm.propose.tokens import Tokens

    out = common[0]
    missing = [name for name in checkpoints if not (out / name).exists()]
    if missing or split not in SPLITS:
        raise click.ClickException(
            f"no {', '.join(missing)} in {out}" if missing else f"{split} is none of {', '.join(SPLITS)}"
        )
    tokens = Tokens.load(out / "tokens.json")
    held = load_rows(out / NAME, reserved_texts(Toolchain.find()))[split]
    paths = [out / name for name in checkpoints]
    click.echo("\n".join(comparison.compare(paths, tokens, comparison.chosen(held, tokens, rows), n, workers)))


@main.command(name="all")
@click.option("--minutes", default=150.0, show_default=True, help="For everything; the stages share it.")
@click.option("--workers", default=2, show_default=True, help="Processes: one a core.")
@click.option("--to", type=click.Path(path_type=Path), default=BUILTIN, show_default=True, help="Where the model goes.")
@click.option("--rows", default=150, show_default=True, help="Of each held-out split, for the look at the end.")
@click.pass_context
def all_(context: click.Context, minutes: float, workers: int, to: Path, rows: int) -> None:
    """The whole way: a quarter of the time for the corpus, half for supervised training, a fifth for PPO."""
    context.invoke(corpus, minutes=minutes * 0.25, workers=workers, rows=200_000, quick=False)
    _stage(context.obj, workers, "sft", "--minutes", str(minutes * 0.5))
    _stage(context.obj, workers, "ppo", "--minutes", str(minutes * 0.2))
    context.invoke(export, to=to)
    context.invoke(card)
    context.invoke(evaluate_, rows=rows)


def _stage(common: tuple[Path, int, int], workers: int, *stage: str) -> None:
    """A stage in `workers` processes, which are faster than as many threads. Raises ClickException."""
    out, seed, threads = common
    started = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(workers)]
    options = ["--out", str(out), "--seed", str(seed), "--threads", str(threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    if subprocess.run([*started, "-m", "gccllm.lab.train", *options, *stage], env=environment, check=False).returncode:
        raise click.ClickException(f"{stage[0]} failed; what it said stands above")


if __name__ == "__main__":
    main()
