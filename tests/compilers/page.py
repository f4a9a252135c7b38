"""The tables of docs/compilers.md, between its markers, from the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.compilers.checks import CHECKS
from tests.compilers.roots import RELEASES

BEGIN, END = "<!-- compilers: begin -->", "<!-- compilers: end -->"
Results = Mapping[tuple[str, str, str], Mapping[str, Any]]


def write(path: Path, results: Results) -> None:
    """Raises ValueError where the page has no markers."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for the tables")
    path.write_text(f"{before}{BEGIN}\n" + "\n".join(table(results)) + f"\n{END}{after}")


def table(results: Results) -> list[str]:
    names = [check.name for check in CHECKS]
    rows = [f"| system | Python | gcc | {' | '.join(names)} |", "|" + "---|" * (len(names) + 3)]
    seen: list[str] = []
    for release in RELEASES:
        for gcc in release.gccs:
            root = results.get((release.name, gcc, "root"), {})
            found = {
                check.name: results.get((release.name, gcc, check.name), {}) for check in CHECKS if check.is_for(gcc)
            }
            other = "declined" if root.get("state") == "declined" else "not run"
            states = [found[name].get("state", other) if name in found else "-" for name in names]
            version = root.get("version") or gcc
            rows.append(f"| {release.title} | {root.get('python', '')} | {version} | {' | '.join(states)} |")
            where = f"| {release.title}, gcc {version}"
            if root.get("state") in ("declined", "failed"):
                seen.append(f"{where} | | {root['state']}: {root['detail']} | {root['commit']} |")
            for name, one in found.items():
                if one:
                    state = "" if one["state"] == "passed" else f"{one['state']}: "
                    seen.append(f"{where} | {name} | {state}{one['detail']} | {one['commit']} |")
    says = ["", "| check | what runs |", "|---|---|", *(f"| {check.name} | {check.says} |" for check in CHECKS)]
    return [*rows, *says, "", "| where | check | seen | commit |", "|---|---|---|---|", *seen]


def in_words(results: Sequence[Mapping[str, Any]]) -> Results:
    """The last result of each (release, gcc, check)."""
    return {(str(one["release"]), str(one["gcc"]), str(one["check"])): one for one in results}
