"""The table of rooms in ARCHITECTURE.md is the order of imports: each room imports only rooms below it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = re.findall(r"^\| `gccllm/(\w+)(?:/|\.py)` \|", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)


def imported(path: Path) -> Iterator[str]:
    """The rooms that a file takes something from."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "gccllm":
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("gccllm."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (name.name.split(".")[1] for name in node.names if name.name.startswith("gccllm."))


def test_every_room_stands_in_the_table() -> None:
    there = {
        path.stem for path in (ROOT / "gccllm").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert set(ROOMS) == there - {"__init__"}


def test_a_room_imports_only_rooms_below_it() -> None:
    up = []
    for path in (ROOT / "gccllm").rglob("*.py"):
        room = path.relative_to(ROOT / "gccllm").with_suffix("").parts[0]
        if room != "__init__":
            below = [room, *ROOMS[ROOMS.index(room) + 1 :], "__version__"]
            up += [f"{path.relative_to(ROOT)} imports {other}" for other in imported(path) if other not in below]
    assert up == []
