"""Write docs/reasons.md and docs/settings.md from their tables: `python docs/generate.py` (a test compares them)."""

from __future__ import annotations

from pathlib import Path

from gccllm import config
from gccllm.reasons import Reason, Scope

_TITLES = {
    Scope.UNIT: "The unit was left to gcc because",
    Scope.FUNCTION: "The function was left to gcc because",
    Scope.REFUTED: "The candidate was refused because",
    Scope.UNDECIDED: "The candidate was not admitted because",
    Scope.ENGINE: "gcc's own output was used because",
}


def reasons() -> str:
    parts = [
        "# Reasons\n\nEvery exit has a name; `gccllm stats` counts them. This page is made from `gccllm/reasons.py`.\n"
    ]
    for scope, title in _TITLES.items():
        rows = "".join(f"| `{r.label}` | {r.says} |\n" for r in Reason if r.scope is scope)
        parts.append(f"\n## {title} ...\n\n| reason | ... |\n|---|---|\n{rows}")
    return "".join(parts)


def settings() -> str:
    rows = ""
    for s in config.SETTINGS:
        default = ",".join(s.default) if isinstance(s.default, tuple) else s.default
        rows += f"| `{s.name}` | `{s.env}` | `{default}` | {s.says} |\n".replace("``", "(none)")
    return _SETTINGS_HEAD + rows


_SETTINGS_HEAD = """\
# Settings

In falling precedence: environment, `gccllm.toml` (nearest upward from the compile's directory), the user's
`~/.config/gccllm/config.toml`, default. `gccllm config` shows each with its origin. A bad value is named there and
in `gccllm doctor`; the build goes on with the next origin's. This page is made from `gccllm/config.py`.

| in `gccllm.toml` | environment | default | meaning |
|---|---|---|---|
"""

PAGES = {"reasons.md": reasons, "settings.md": settings}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (Path(__file__).parent / name).write_text(page())
