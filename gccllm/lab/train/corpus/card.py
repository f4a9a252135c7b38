"""Stage `card`: the data card's numbers, counted from a corpus."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from gccllm.lab.train import config
from gccllm.lab.train.corpus import NAME, read
from gccllm.propose.c_words import KEEP


def card(out: Path) -> str:
    """Markdown: rows by split and by family, what was dropped and why; packages of real programs and their licences."""
    from gccllm.lab.train.corpus.real_rows import summary
    from gccllm.lab.train.examples import composition, taught

    rows = list(read(out / NAME))
    useful = taught(rows)
    splits = Counter(row["split"] for row in useful)
    wrong = Counter(row["status"] for row in rows if row["split"] == "dropped")
    families: dict[str, Counter[str]] = defaultdict(Counter)
    for row in useful:
        entry = families[row["family"]]
        entry["rows"] += 1
        entry["taught"] += row["answer"] != KEEP
    for row in useful:
        families[row["family"]]["compositions"] = 0
    for family, _ in {(row["family"], composition(row)) for row in useful}:
        families[family]["compositions"] += 1
    lines = [
        "| rows | |", "|---|---|",
        f"| distinct texts drawn and checked | {len(rows):,} |",
        f"| dropped: {', '.join(f'{k} {v}' for k, v in wrong.most_common()) or 'none'} | {sum(wrong.values()):,} |",
        f"| training | {splits['train']:,} |",
        f"| held out: unseen compositions / random rows / unseen families | {splits['unseen']:,} / "
        f"{splits['random']:,} / {splits['family']:,} |",
        f"| compositions | {len({composition(row) for row in useful}):,} |",
        f"| answered by an expert / by {KEEP} | {sum(r['answer'] != KEEP for r in useful):,} / "
        f"{sum(r['answer'] == KEEP for r in useful):,} |",
        "", "| family | rows | compositions | answered by an expert |", "|---|---|---|---|",
    ]  # fmt: skip
    for name, entry in sorted(families.items()):
        lines.append(
            f"| {name} | {entry['rows']:,} | {entry['compositions']:,} | {entry['taught'] / entry['rows']:.0%} |"
        )
    if real := summary(out):
        lines += ["", "Functions of real programs, answered by `KEEP`:", "", *real.splitlines()]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> None:
    config.run(lambda settings: print(card(settings.out)), "card", __doc__, arguments)
