"""`python -m gccllm.train all --out .train`: corpus, tokens, sft, export, eval. Each goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path

import click

BUILTIN = Path(__file__).resolve().parents[1] / "propose" / "builtin"


def _corpus(out: Path, rows: int, minutes: float, seed: int) -> None:
    from gccllm.train import corpus

    corpus.generate(out, seed, rows, minutes * 60)


def _tokens(out: Path) -> None:
    from gccllm.train import sft

    click.echo(f"tokens: {sft.build_tokens(out).size} words")


def _sft(out: Path, minutes: float, threads: int) -> None:
    from gccllm.train import sft

    sft.train(out, minutes * 60, threads=threads)


def _export(out: Path, to: Path) -> None:
    from gccllm.train import export

    export.ship(out / "checkpoint.pt", out / "tokens.json", to)
    click.echo(f"export: {(to / 'model.gguf').stat().st_size / 1e6:.2f} MB in {to}")


def _eval(out: Path, to: Path, rows: int) -> None:
    from gccllm.train import evaluate, kernels

    evaluate.evaluate(to / "model.gguf", to / "tokens.json", out, rows=rows)
    solved = kernels.solve(to / "model.gguf", to / "tokens.json", out)
    (out / "kernels.json").write_text(json.dumps(solved, indent=1))
    for name, entry in solved.items():
        click.echo(f"kernel {name}: " + ", ".join(f"{k} {v}" for k, v in entry.items() if k != "body"))


@click.command()
@click.argument("stage", type=click.Choice(["all", "corpus", "tokens", "sft", "export", "eval"]))
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path(".train"), show_default=True, help="Working folder."
)
@click.option("--to", type=click.Path(path_type=Path), default=BUILTIN, show_default=True, help="Where the model goes.")
@click.option("--rows", default=60000, show_default=True, help="Useful rows wanted.")
@click.option("--corpus-minutes", default=25.0, show_default=True)
@click.option("--sft-minutes", default=60.0, show_default=True)
@click.option("--eval-rows", default=150, show_default=True, help="Rows of each held-out split.")
@click.option("--threads", default=1, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(
    stage: str, out: Path, to: Path, rows: int, corpus_minutes: float, sft_minutes: float, eval_rows: int, threads: int,
    seed: int,
) -> None:  # fmt: skip
    """Train the built-in model, or one STAGE of it."""
    out.mkdir(parents=True, exist_ok=True)
    if stage in ("all", "corpus"):
        _corpus(out, rows, corpus_minutes, seed)
    if stage in ("all", "tokens"):
        _tokens(out)
    if stage in ("all", "sft"):
        _sft(out, sft_minutes, threads)
    if stage in ("all", "export"):
        _export(out, to)
    if stage in ("all", "eval"):
        _eval(out, to, eval_rows)


if __name__ == "__main__":
    main()
