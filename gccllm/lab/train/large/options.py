"""The rendered options against the trainer's own list, read from the package without importing or installing it.

verl      the keys of `verl/trainer/config/_generated_ppo_trainer.yaml`, which flattens its configuration
OpenRLHF  the names that `openrlhf/cli/train_ppo_ray.py` gives to its argument parser

Covered: that each name exists in that version. Not covered: what it means there.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

WHERE = {"verl": "verl/trainer/config/_generated_ppo_trainer.yaml", "openrlhf": "openrlhf/cli/train_ppo_ray.py"}
TESTED = {"verl": "0.9.1", "openrlhf": "0.11.2"}
"""Versions whose lists were compared."""


class NoList(Exception):
    """The trainer's package is not at hand."""


def unknown(framework: str, words: list[str], text: str) -> list[str]:
    """The options in a command that `text`, the framework's own list, does not hold."""
    if framework == "verl":
        known = verl_keys(text)
        return [key for word in words[3:] if (key := word.partition("=")[0]) not in known]
    names = openrlhf_names(text)
    return [word for word in words[3:] if word.startswith("--") and word not in names]


def verl_keys(text: str) -> set[str]:
    # Comes with transformers; no stubs.
    yaml: Any = importlib.import_module("yaml")
    keys: set[str] = set()

    def walk(node: Any, path: str) -> None:
        if isinstance(node, dict) and node:
            for name, below in node.items():
                walk(below, f"{path}.{name}" if path else str(name))
        else:
            keys.add(path)

    walk(yaml.safe_load(text), "")
    return keys


def openrlhf_names(text: str) -> set[str]:
    """Every `--name` given to add_argument; those written with `{prefix}` once for the actor, once for the critic."""
    names = set(re.findall(r'add_argument\(\s*"(--[\w.]+)"', text))
    for name in re.findall(r'add_argument\(\s*f"(--[\w.{}]+)"', text):
        names.update(name.replace("{prefix}", who) for who in ("actor", "critic"))
    return names


def installed(framework: str) -> str:
    """The list in the installed package. Raises NoList."""
    spec = importlib.util.find_spec(framework)
    if spec is None or not spec.submodule_search_locations:
        raise NoList(f"{framework} is not installed")
    return _text(Path(spec.submodule_search_locations[0]).parent / WHERE[framework])


def fetched(framework: str, version: str = "") -> str:
    """The list in the package that `pip download` brings, by name, without its dependencies. Raises NoList."""
    with tempfile.TemporaryDirectory(prefix="gccllm-options-") as folder:
        wanted = f"{framework}=={version}" if version else framework
        argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", folder, wanted]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if not wheels:
            said = done.stderr.strip().splitlines()
            raise NoList(f"pip did not bring {wanted}: {said[-1] if said else 'no reason given'}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            # Some wheels keep their modules in NAME.data/purelib.
            names = [name for name in wheel.namelist() if name.endswith(WHERE[framework])]
            if not names:
                raise NoList(f"{wanted} has no {WHERE[framework]}")
            return wheel.read(names[0]).decode()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise NoList(f"{path}: {error.strerror}") from error
