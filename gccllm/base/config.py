"""Settings: one table, and for each value where it came from.

Origins in decreasing order of precedence: flag (a subcommand's own option), env, project (`gccllm.toml`, nearest upward), user
(`config.toml` in the user's config directory), default. A bad value never stops a build: `load` keeps the next origin's
value and records one line in `Settings.complaints`, which `gccllm config` and `gccllm doctor` print.

A project is whatever was unpacked or cloned: it may set effort, and nothing that names a program, a place
outside the project or a server, or that loosens a gate. The column `by_project` says so for each setting, and
`wrappers/by_project.h` is made from it for the C side.
"""

from __future__ import annotations

import contextlib
import difflib
import enum
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import platformdirs

from gccllm.base import project_file
from gccllm.base.limits import LIMITS
from gccllm.base.regular import read_regular


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def parse(raw: Any) -> str:
        if raw not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return str(raw)

    return parse


def _seconds(raw: Any) -> float:
    try:
        value = float(raw)
    except (TypeError, ValueError, OverflowError):
        value = -1.0
    if not 0 <= value < 1e6:
        raise ValueError("a number of seconds, 0 or more")
    return value


def _count(raw: Any) -> int:
    try:
        value = int(raw)
    except (TypeError, ValueError, OverflowError):
        value = -1
    if not 0 <= value <= 1_000_000:
        raise ValueError("a whole number from 0 to 1000000")
    return value


def _flag(raw: Any) -> bool:
    word = str(raw).lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("1 or 0")


def _words(raw: Any) -> tuple[str, ...]:
    items = raw if isinstance(raw, list) else str(raw).split(",")
    return tuple(str(item).strip() for item in items if str(item).strip())


def _proposers(raw: Any) -> tuple[str, ...]:
    words = _words(raw)
    if unknown := set(words) - {"model", "recompile"}:
        raise ValueError(f"model, recompile; not {', '.join(sorted(unknown))}")
    return words


class ByProject(enum.Enum):
    """What a project's file may do with a setting."""

    NOT = "no"
    YES = "yes"
    ADDS = "adds to yours"
    INSIDE = "a file inside it"
    """A relative path that stays below the project's directory."""


@dataclass(frozen=True, slots=True)
class Setting:
    name: str
    env: str
    default: Any
    parse: Callable[[Any], Any]
    says: str
    by_project: ByProject | tuple[str, ...] = ByProject.NOT
    """Words: the project may choose one of these only."""

    def refusal(self, value: Any) -> str:
        """Why a project may not set this (parsed) value; empty when it may."""
        instead = f"set {self.env} or the user's config.toml"
        may_not = f"gccllm.toml of the project may not set '{self.name}'"
        if isinstance(self.by_project, tuple):
            return "" if value in self.by_project else f"{may_not} to {value!r}; {instead}"
        if self.by_project is ByProject.INSIDE:
            path = PurePosixPath(value)
            is_inside = not path.is_absolute() and ".." not in path.parts
            return "" if is_inside else f"{may_not} to {value!r}, which is outside of it; {instead}"
        return f"{may_not}; {instead}" if self.by_project is ByProject.NOT else ""


NOT, YES, ADDS, INSIDE = ByProject


OWNERS = ("own", "any")

SETTINGS: tuple[Setting, ...] = (
    Setting("mode", "GCCLLM_MODE", "inline", _one_of("inline", "queue", "cached", "record", "trial", "off"), "when to work on hot functions without an answer; record: put recording stubs into functions instead; trial: put in all bodies that `gccllm trial` shall compare", ("inline", "queue", "cached", "off")),
    Setting("budget", "GCCLLM_BUDGET", 120.0, _seconds, "seconds of work per translation unit in mode inline", YES),
    Setting("build_budget", "GCCLLM_BUILD_BUDGET", 60.0, _seconds, "seconds that all compiles of one build together may wait for work in mode inline; the rest is queued; 0 queues everything, as mode queue does", YES),
    Setting("progress", "GCCLLM_PROGRESS", True, _flag, "print one line on the terminal when a build has waited 5 s", YES),
    Setting("proposers", "GCCLLM_PROPOSERS", ("model", "recompile"), _proposers, "the proposers of rewrites, in the order in which they are asked", YES),
    Setting("endpoint", "GCCLLM_ENDPOINT", "", str, "OpenAI-compatible server to use instead of the built-in model", NOT),
    Setting("model", "GCCLLM_MODEL", "", str, "GGUF file to use instead of the built-in model", NOT),
    Setting("samples", "GCCLLM_SAMPLES", 8, _count, "answers to draw from the model per function", YES),
    Setting("refinements", "GCCLLM_REFINE", 1, _count, "rounds in which the model repairs its failed answers, or gets them as feedback", YES),
    Setting("isa", "GCCLLM_ISA", "guarded", _one_of("baseline", "guarded", "native"), "instruction sets a rewrite may use", ("baseline", "guarded")),
    Setting("opt", "GCCLLM_OPT", "o3", _one_of("o3", "keep", "untouched"), "o3: the launcher raises -O1 and -O2 to -O3; keep: it keeps the level; untouched: it adds no option at all, so most units are left to gcc", YES),
    Setting("ub", "GCCLLM_UB", "as-gcc", _one_of("as-gcc", "language"), "where C leaves behaviour undefined: agree with gcc's machine code, or use the language's freedom", NOT),
    Setting("early_exits", "GCCLLM_EARLY_EXITS", False, _flag, "let a rewrite exit early from a comparison that gcc's code always completes", NOT),
    Setting("strict", "GCCLLM_STRICT", False, _flag, "fail the compile of a unit with an eligible function that is still undecided", YES),
    Setting("cc", "GCCLLM_CC", "", str, "the real compiler", NOT),
    Setting("cache_dir", "GCCLLM_CACHE_DIR", "", str, "the user's store", NOT),
    Setting("project_owner", "GCCLLM_PROJECT_OWNER", "own", _one_of(*OWNERS), "own: a gccllm.toml counts only when you or root own it; any: the owner does not matter", NOT),
    Setting("seed", "GCCLLM_SEED", 1, _count, "seed of the harvest and of sampling", NOT),
    Setting("exclude", "GCCLLM_EXCLUDE", (), _words, "globs of functions never to rewrite; C++ names as in the object file or as in the source, with or without parameters", ADDS),
    Setting("include", "GCCLLM_INCLUDE", (), _words, "globs of functions, as for exclude, to work on even without a loop", YES),
    Setting("only", "GCCLLM_ONLY", (), _words, "globs, as for exclude: if given, no other function is rewritten", YES),
    Setting("profile", "GCCLLM_PROFILE", "", str, "profile file, which overrides the static guess of what is hot", INSIDE),
    Setting("max_functions", "GCCLLM_MAX_FUNCTIONS", 32, _count, "number of hottest functions to work on per unit", YES),
    Setting("max_instructions", "GCCLLM_MAX_INSTRUCTIONS", 1000, _count, "largest baseline, in instructions", YES),
    Setting("negative_days", "GCCLLM_NEGATIVE_DAYS", 30, _count, "days until a function for which nothing was found is tried again", YES),
)  # fmt: skip

OTHER_VARIABLES: Mapping[str, str] = {
    "GCCLLM_ENDPOINT_MODEL": "name of the model to request from the endpoint; default: `default`",
    "GCCLLM_ENDPOINT_KEY": "the endpoint's key, sent as a bearer token; not a setting, because files get committed",
    "GCCLLM_ROOT": "an installation that CMake's toolchain file searches first",
    "GCCLLM_ENGINE": "another engine program; for tests",
    "GCCLLM_RECORD_DIR": "where a recorded program writes its files; set by `gccllm record`",
    "GCCLLM_RECORD_CALLS": "calls to keep of each function; set by `gccllm record --calls`",
    "GCCLLM_RECORD_BYTES": "bytes of memory that a process may record; default 268435456 (256 MiB)",
    "GCCLLM_RECORD_CPU": "percent of its processor time that a program may spend on recording; default 3",
    "GCCLLM_SAMPLER_DIR": "where a profiled program writes its samples; set by `gccllm profile`",
    "GCCLLM_SAMPLER_US": "microseconds between samples",
    "GCCLLM_REWARD_JOBS": "processes that judge answers in training",
    "GCCLLM_REWARD_CACHE": "where training caches judged answers",
    "GCCLLM_FULL": "1: run tests that take many minutes as well",
    "GCCLLM_ARGV": "from launcher to shim: the driver's arguments",
    "GCCLLM_COMPILER": "from launcher to shim: the real compiler",
    "GCCLLM_DEPTH": "from launcher to launcher: the programs passed through so far",
}
"""Variables that are not settings: no file sets them, and neither can a project."""

_BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True)
class Settings:
    values: Mapping[str, Any]
    origins: Mapping[str, str]
    complaints: tuple[str, ...] = ()
    project: Path | None = None
    """Directory of the nearest `gccllm.toml` that counts."""

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
        """The profile file: as set (relative to the project), or `gccllm.profile` beside `gccllm.toml`.

        None for one of the project's that a link leads out of the project.
        """
        base = self.project or Path.cwd()
        if self["profile"] and self.origins["profile"] != "project":
            return base / str(self["profile"])
        path = base / str(self["profile"] or "gccllm.profile")
        with contextlib.suppress(OSError, ValueError):  # a name that no file can have
            if self.project and path.is_file() and path.resolve().is_relative_to(self.project.resolve()):
                return path
        return None

    def root(self, here: Path) -> Path:
        """The project's directory, seen from `here`: that of its gccllm.toml, or one with `.git`, or else `here`."""
        if self.project is not None:
            return self.project
        return next((place for place in (here, *here.parents) if (place / ".git").exists()), here)

    def with_values(self, **values: Any) -> Settings:
        """A copy with some values set by a subcommand's own flags."""
        given = {name: _BY_NAME[name].parse(value) for name, value in values.items() if value is not None}
        return Settings(
            {**self.values, **given},
            {**self.origins, **dict.fromkeys(given, "flag")},
            self.complaints,
            self.project,
        )


def user_file() -> Path:
    return Path(platformdirs.user_config_dir("gccllm")) / "config.toml"


def load(cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """Settings in force in `cwd`. Never raises for their content."""
    env = os.environ if env is None else env
    made = _Layers()
    made.take("user", _parsed(user_file(), _user_bytes, made.complaints))
    given = {s.name: env[s.env] for s in SETTINGS if env.get(s.env, "") != ""}
    made.complaints += _unknown(env)
    # Whose files count is not for those files to say.
    trust = given["project_owner"] if given.get("project_owner") in OWNERS else made.values["project_owner"]
    found = project_file.find(cwd or Path.cwd(), any_owner=trust == "any")
    made.complaints += found.passed_over
    if found.directory is not None:
        path = found.directory / project_file.PROJECT_FILE
        made.take("project", _parsed(path, lambda _: found.data, made.complaints))
    made.take("env", given)
    return Settings(made.values, made.origins, tuple(made.complaints), found.directory)


def _unknown(env: Mapping[str, str]) -> list[str]:
    """A line for each `GCCLLM_*` variable that is not known: a misspelt setting would be ignored silently."""
    known = {s.env for s in SETTINGS} | OTHER_VARIABLES.keys()
    lines = []
    for name in sorted(name for name in env if name.startswith("GCCLLM_") and name not in known):
        near = difflib.get_close_matches(name, known, 1)
        lines.append(f"{name:.60} is no setting{f'; {near[0]} is' if near else ''}; `gccllm config` lists them")
    return lines


class _Layers:
    """Values as one origin after the other sets them, the weakest first."""

    def __init__(self) -> None:
        self.values = {s.name: s.default for s in SETTINGS}
        self.origins = dict.fromkeys(self.values, "default")
        self.complaints: list[str] = []

    def take(self, origin: str, layer: Mapping[str, Any]) -> None:
        for name, raw in layer.items():
            setting = _BY_NAME.get(name)
            if setting is None:
                self.complaints.append(f"{origin}: unknown setting '{name}'; `gccllm config` lists them")
                continue
            if origin == "project" and setting.by_project is ByProject.NOT:
                self.complaints.append(setting.refusal(raw))
                continue
            try:
                value = setting.parse(raw)
            except (TypeError, ValueError) as error:
                where = setting.env if origin == "env" else f"{origin} setting '{name}'"
                self.complaints.append(f"{where} is {raw!r:.200}; it must be {error}; using {self.values[name]!r}")
                continue
            if origin == "project":
                if refusal := setting.refusal(value):
                    self.complaints.append(refusal)
                    continue
                if setting.by_project is ByProject.ADDS:
                    value = (*self.values[name], *(item for item in value if item not in self.values[name]))
            self.values[name] = value
            self.origins[name] = origin


def _user_bytes(path: Path) -> bytes:
    return read_regular(path, LIMITS.settings_bytes)[0]


def _parsed(path: Path, read: Callable[[Path], bytes], complaints: list[str]) -> Mapping[str, Any]:
    try:
        return tomllib.loads(read(path).decode())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        complaints.append(f"{path} is not read: {error}")
        return {}
