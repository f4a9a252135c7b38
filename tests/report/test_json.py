"""Every command that reports prints what docs/internals/formats.md says, for a machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gccllm.base.events import Log
from gccllm.commands import schema
from gccllm.commands.cli import main
from gccllm.store import Store
from tests.kit.rewrites import MANGLED, rewrite

COMMANDS = {
    "stats": ["stats", "--json"],
    "explain": ["explain", "a.c", "-O2", "--json"],
    "show": ["show", MANGLED, "--json"],
    "cache ls": ["cache", "ls", "--all", "--json"],
    "config": ["config", "--json"],
    "doctor": ["doctor", "--json"],
    "tests ls": ["tests", "ls", "--all", "--json"],
}


@pytest.fixture
def filled(store: Store, tmp_path: Path) -> None:
    store.put(rewrite(function=MANGLED))
    (tmp_path / "a.c").write_text(
        "int f(int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }\n"
    )
    log = Log(store.user, cwd=str(tmp_path), source=str(tmp_path / "a.c"))
    log.write("function", function=MANGLED, word="admitted", key="a" * 64)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_documented_is_there(command: str) -> None:
    ran = CliRunner().invoke(main, COMMANDS[command])
    found = json.loads(ran.stdout)
    assert schema.missing(command, found) == []
    assert (found["schema"], found["command"]) == (schema.SCHEMA, command)


def test_a_key_that_is_gone_is_missed() -> None:
    assert "functions[].word" in schema.missing("explain", {"functions": [{"function": "f"}]})


def test_every_command_with_json_is_in_the_table() -> None:
    def walk(group: object, path: str = "") -> list[str]:
        found = []
        for name, command in getattr(group, "commands", {}).items():
            found += walk(command, f"{path}{name} ")
            if any("--json" in parameter.opts for parameter in command.params):
                found.append(path + name)
        return found

    assert set(walk(main)) == set(schema.REPORTS)
