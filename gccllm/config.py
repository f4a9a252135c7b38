"""Settings: one table, and for each value where it came from.

Origins in falling precedence: flag (a subcommand's own option), env, project (`gccllm.toml`, nearest upward), user
(`config.toml` in the user's config directory), default. A bad value never stops a build: `load` keeps the next origin's
value and records one line in `Settings.complaints`, which `gccllm config` and `gccllm doctor` print.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

PROJECT_FILE = "gccllm.toml"


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def parse(raw: Any) -> str:
        if raw not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return str(raw)

    return parse


def _seconds(raw: Any) -> float:
    value = float(raw)
    if not 0 <= value < 1e6:
        raise ValueError("a number of seconds")
    return value


def _count(raw: Any) -> int:
    value = int(raw)
    if not 0 <= value <= 1_000_000:
        raise ValueError("a whole number")
    return value


def _flag(raw: Any) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
        "": False,
    }
    if isinstance(raw, bool):
        return raw
    if str(raw).lower() not in words:
        raise ValueError("1 or 0")
    return words[str(raw).lower()]


def _words(raw: Any) -> tuple[str, ...]:
    items = raw if isinstance(raw, list) else str(raw).split(",")
    return tuple(str(item).strip() for item in items if str(item).strip())


def _proposers(raw: Any) -> tuple[str, ...]:
    words = _words(raw)
    if unknown := set(words) - {"model", "recompile"}:
        raise ValueError(f"model, recompile; not {', '.join(sorted(unknown))}")
    return words


@dataclass(frozen=True, slots=True)
class Setting:
    name: str
    env: str
    default: Any
    parse: Callable[[Any], Any]
    says: str


SETTINGS: tuple[Setting, ...] = (
    Setting("mode", "GCCLLM_MODE", "inline", _one_of("inline", "queue", "cached", "record", "off"), "when to work on unknown hot functions; record: put recording stubs into them instead"),
    Setting("budget", "GCCLLM_BUDGET", 120.0, _seconds, "seconds of work per translation unit in mode inline"),
    Setting("proposers", "GCCLLM_PROPOSERS", ("model", "recompile"), _proposers, "who proposes rewrites, in this order"),
    Setting("endpoint", "GCCLLM_ENDPOINT", "", str, "OpenAI-compatible server to ask instead of the built-in model"),
    Setting("model", "GCCLLM_MODEL", "", str, "GGUF file to use instead of the built-in model"),
    Setting("samples", "GCCLLM_SAMPLES", 8, _count, "answers to draw from the model per function"),
    Setting("refinements", "GCCLLM_REFINE", 1, _count, "rounds in which the model mends, or is told of, its answers that failed"),
    Setting("isa", "GCCLLM_ISA", "guarded", _one_of("baseline", "guarded", "native"), "instruction sets a rewrite may use"),
    Setting("opt", "GCCLLM_OPT", "o3", _one_of("o3", "keep", "untouched"), "o3: the launcher raises -O1 and -O2 to -O3; keep: it does not; untouched: it adds no option at all, so most units are left to gcc"),
    Setting("ub", "GCCLLM_UB", "as-gcc", _one_of("as-gcc", "language"), "where C leaves behaviour undefined: agree with gcc's machine code, or use the language's freedom"),
    Setting("strict", "GCCLLM_STRICT", False, _flag, "fail a unit that has an undecided eligible function"),
    Setting("cc", "GCCLLM_CC", "", str, "the real compiler"),
    Setting("cache_dir", "GCCLLM_CACHE_DIR", "", str, "the user's store"),
    Setting("seed", "GCCLLM_SEED", 1, _count, "seed of the harvest and of sampling"),
    Setting("exclude", "GCCLLM_EXCLUDE", (), _words, "globs of function names never to touch"),
    Setting("include", "GCCLLM_INCLUDE", (), _words, "globs of function names to work on even without a loop"),
    Setting("only", "GCCLLM_ONLY", (), _words, "globs: when given, no other function is touched"),
    Setting("profile", "GCCLLM_PROFILE", "", str, "profile file that outranks the static guess of what is hot"),
    Setting("max_functions", "GCCLLM_MAX_FUNCTIONS", 32, _count, "hottest functions to work on per unit"),
    Setting("max_instructions", "GCCLLM_MAX_INSTRUCTIONS", 1000, _count, "largest baseline, in instructions"),
    Setting("negative_days", "GCCLLM_NEGATIVE_DAYS", 30, _count, "days until a function on which nothing was found is tried again"),
)  # fmt: skip

_BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True)
class Settings:
    values: Mapping[str, Any]
    origins: Mapping[str, str]
    complaints: tuple[str, ...] = ()
    project: Path | None = None
    """Directory of the nearest `gccllm.toml`."""

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def store_dir(self) -> Path:
        return Path(self["cache_dir"]) if self["cache_dir"] else Path(platformdirs.user_cache_dir("gccllm"))

    @property
    def project_cache(self) -> Path | None:
        return self.project / "cache" if self.project else None

    @property
    def profile_path(self) -> Path | None:
        """The profile file: as set (relative to the project), or `gccllm.profile` beside `gccllm.toml`."""
        if self["profile"]:
            return (self.project or Path.cwd()) / str(self["profile"])
        if self.project and (self.project / "gccllm.profile").is_file():
            return self.project / "gccllm.profile"
        return None

    def with_values(self, **values: Any) -> Settings:
        """A copy with some values set by a subcommand's own flags."""
        given = {name: _BY_NAME[name].parse(value) for name, value in values.items() if value is not None}
        return Settings(
            {**self.values, **given},
            {**self.origins, **dict.fromkeys(given, "flag")},
            self.complaints,
            self.project,
        )


def find_project(start: Path) -> Path | None:
    """Directory of the nearest `gccllm.toml` at or above `start`."""
    for directory in (start, *start.parents):
        if (directory / PROJECT_FILE).is_file():
            return directory
    return None


def user_file() -> Path:
    return Path(platformdirs.user_config_dir("gccllm")) / "config.toml"


def load(cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """Settings in force in `cwd`. Never raises for their content."""
    env = os.environ if env is None else env
    project = find_project(cwd or Path.cwd())
    complaints: list[str] = []
    layers: list[tuple[str, Mapping[str, Any]]] = [
        ("env", {s.name: env[s.env] for s in SETTINGS if env.get(s.env, "") != ""}),
        ("project", _read(project / PROJECT_FILE, complaints) if project else {}),
        ("user", _read(user_file(), complaints)),
    ]
    values: dict[str, Any] = {s.name: s.default for s in SETTINGS}
    origins = dict.fromkeys(values, "default")
    for origin, layer in reversed(layers):
        for name, raw in layer.items():
            setting = _BY_NAME.get(name)
            if setting is None:
                complaints.append(f"{origin}: unknown setting '{name}'; `gccllm config` lists them")
                continue
            try:
                values[name] = setting.parse(raw)
                origins[name] = origin
            except (TypeError, ValueError) as error:
                where = setting.env if origin == "env" else f"{origin} setting '{name}'"
                complaints.append(f"{where} is {raw!r}; it must be {error}; using {values[name]!r}")
    return Settings(values, origins, tuple(complaints), project)


def _read(path: Path, complaints: list[str]) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        complaints.append(f"{path} is not read: {error}")
        return {}
