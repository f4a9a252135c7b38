"""docs/internals/prelude.md has every macro of the prelude with its arguments, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from gccllm.propose import prelude

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "internals" / "prelude.md").read_text()


def test_every_macro_has_one_row_with_its_arguments() -> None:
    rows = re.findall(r"^\| `([A-Z][A-Z0-9]*)\(([^)]*)\)` \|", PAGE, re.M)
    heads = dict(re.findall(r"^#define ([A-Z][A-Z0-9]*)\(([^)]*)\)", prelude.text(), re.M))
    assert sorted(name for name, _ in rows) == list(prelude.macros())
    assert [(name, inside) for name, inside in rows if heads[name] != inside] == []


def test_no_macro_is_named_that_is_not_there() -> None:
    named = set(re.findall(r"\b([A-Z][A-Z0-9]+)\(", PAGE))
    assert named - set(prelude.macros()) == set()
