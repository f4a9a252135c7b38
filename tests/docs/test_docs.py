"""Pages made from tables say what the tables say, and links inside the documentation lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: page() for name, page in module.PAGES.items()}


@pytest.mark.parametrize("name", _pages())
def test_the_page_is_the_table(name: str) -> None:
    assert (ROOT / name).read_text() == _pages()[name], "run: python docs/generate.py"


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], ids=lambda p: p.name)
def test_relative_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [t for t in targets if not (page.parent / t).exists()] == []


def test_the_readme_names_every_admitted_kernel_that_is_slower() -> None:
    newest = (ROOT / "docs" / "results.md").read_text().split("\n## ")[1]
    rows = re.findall(r"^\| (\w+) \| (?:model|recompile) \| [^|]* \| (0\.\d+) \|", newest, re.MULTILINE)
    said = " ".join((ROOT / "README.md").read_text().split())
    assert rows
    assert [f"{name} {speed}" for name, speed in rows if f"{name} {speed}" not in said] == []
