"""Write the pages that are tables of the code, and the end of docs/internals/formats.md: `python docs/generate.py`.

A test compares them with the tables.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path

from gccllm.base import config, options
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason, Scope
from gccllm.base.toolchain import VERIFIED
from gccllm.commands import schema

_TITLES = {
    Scope.UNIT: "The unit was left to gcc because",
    Scope.FUNCTION: "The function was left to gcc because",
    Scope.REFUTED: "The candidate was refused because",
    Scope.UNDECIDED: "The candidate was not admitted because",
    Scope.ENGINE: "gcc's own output was used because",
    Scope.PROPOSER: "A proposer gave no candidate because",
    Scope.STORE: "What is stored was not used, or nothing was stored, because",
}


def reasons() -> str:
    parts = [
        "# Reasons\n\nEvery exit has a name. `gccllm stats` counts them; `gccllm explain FILE` prints each with its\n"
        "detail: the option, the instruction, the member, the values compared. Generated from\n"
        "`gccllm/base/reasons.py`.\n"
    ]
    for scope, title in _TITLES.items():
        rows = "".join(f"| `{r.label}` | {r.says} | {r.next_step} |\n" for r in Reason if r.scope is scope)
        parts.append(f"\n## {title} ...\n\n| reason | ... | what to do |\n|---|---|---|\n{rows}")
    return "".join(parts)


def settings() -> str:
    rows = ""
    for s in config.SETTINGS:
        default = ",".join(s.default) if isinstance(s.default, tuple) else s.default
        may = " ".join(f"`{word}`" for word in s.by_project) if isinstance(s.by_project, tuple) else s.by_project.value
        rows += f"| `{s.name}` | `{s.env}` | `{default}` | {may} | {s.says} |\n".replace("``", "(none)")
    others = "".join(f"| `{name}` | {says} |\n" for name, says in config.OTHER_VARIABLES.items())
    limits = "".join(f"| `{name}` | {value:,} | {says} |\n" for name, value, says in LIMITS.rows())
    return _SETTINGS_HEAD + rows + _OTHERS_HEAD + others + _SETTINGS_TAIL + _LIMITS_HEAD + limits


def formats() -> str:
    """docs/internals/formats.md, which is written by hand but for its last section."""
    page = (Path(__file__).parent / "internals" / "formats.md").read_text().partition(_JSON_TITLE)[0]
    tables = ""
    for command, keys in schema.REPORTS.items():
        rows = "".join(f"| `{key}` | {says} |\n" for key, says in keys.items())
        tables += f"\n### {command}\n\n| key | value |\n|---|---|\n{rows}"
    return page.rstrip() + "\n\n" + _JSON_TITLE + _JSON_HEAD + tables


def by_project() -> str:
    """The C side's table of what a project's file may set: settings that are not in it are not taken from there."""
    rows, most = "", 0
    for s in config.SETTINGS:
        if s.by_project is not config.ByProject.NOT:
            listed = s.by_project if isinstance(s.by_project, tuple) else ()
            words, most = ", ".join(f'"{word}"' for word in listed), max(most, len(listed))
            inside = int(s.by_project is config.ByProject.INSIDE)
            rows += f'    {{"{s.name}", {inside}, {{{words}}}}},\n'
    return _HEADER.format(rows=rows, most=most + 1)


def shared() -> str:
    """What the C side knows by the same tables as the Python side."""
    return _SHARED.format(
        put_off=LIMITS.put_off_s,
        first=VERIFIED[0],
        with_argument=_c_words(sorted(options.WITH_WORD)),
        names_file=_c_words(options.NAMES_FILE),
        ours=_c_words(("-O3", *options.LAUNCHER_ADDS)),
    )


def _c_words(words: Iterable[str]) -> str:
    return textwrap.fill(", ".join(f'"{word}"' for word in words), 104, initial_indent="    ", subsequent_indent="    ",
                         break_on_hyphens=False)  # fmt: skip


_JSON_TITLE = "## Output of `--json`\n"

_JSON_HEAD = """
Machine-readable output. Generated from `gccllm/commands/schema.py` by `docs/generate.py`; a test checks each command
against it. A key is a path: `[]` after a name means each member of a list, `*` any name. There may be further keys;
these stay as long as `schema` is 1. C++ names are mangled in `function` and as in the source in `name`.
"""

_SETTINGS_HEAD = """\
# Settings

In decreasing order of precedence: environment, `gccllm.toml` (the nearest one upward from the compile's directory),
the user's `~/.config/gccllm/config.toml`, default. `gccllm config` shows each setting with its origin. Every `gccllm`
command reports a bad value on standard error, and `gccllm config` then exits with 1; a build uses the next origin's
value. Generated from `gccllm/base/config.py`.

| name in a file | environment | default | by a project | meaning |
|---|---|---|---|---|
"""

_OTHERS_HEAD = """
Variables that are not settings, and that no file can set:

| environment | meaning |
|---|---|
"""

_SETTINGS_TAIL = """

Any other `GCCLLM_*` variable is reported by `gccllm config`, by `gccllm doctor` and in the log; with
`GCCLLM_STRICT=1` it fails the compile, as a bad value does.

## What a build waits for

All compiles of one build share `build_budget`. A second in which several of them wait counts once. There is no
daemon. A build is identified by the outermost build tool (`make`, `ninja`, `cmake`, `meson`, `pip`, `cargo`, `bazel`
and the like: `wrappers/build.c`) among the parent processes of the compile or, without one, by the outermost process
below the session leader: the command that was typed. So one `make` with everything it calls is one build, and so is a
script that calls `gcc-llm`. The accounts are in `<store>/builds/` and are removed after a day.

Once the budget is used up, units are queued without starting anything. Builds leave queued and undecided functions
alone for a day, or until `gccllm tune` has worked on them. Functions whose names look like set-up code go to the
queue at once.

## What `gccllm tune` does

It works through the queued units of all projects, the one with the hottest function first. A unit leaves the queue
when all its functions are decided. `--jobs N` processes work in parallel, by default one per available CPU; each
takes about 300 MB. They share `--budget S`: no function is started after that many seconds. A terminal shows one line
per process and an estimate of the time left, based on earlier functions; a pipe gets one line per unit.

Ctrl-C and SIGTERM end all processes and keep what is done (exit status 130); the same command resumes. A process that
is killed loses its current unit only, which stays queued.

Timings take turns, but the other processes still add noise. A function that is too noisy stays undecided, and so does
one for which other work left no time to generate inputs; such units are retried at the end, alone. Measured on two
CPUs with other work (load 7 to 14), 12 functions of the kernel suite, proposer `recompile`: with `--jobs 1` 2 of them
stayed noisy, with `--jobs 2` 3, of which the retry decided one; the same 6 were admitted. Timing took 12% of the CPU
seconds (judging 57%), so up to about eight processes should hardly wait for each other. More than two were not tried.

`gccllm stats --stages` sums the CPU seconds of all work by stage.

## What a project may set

A project is anything that was cloned or unpacked. Its `gccllm.toml` (`gccllm init toml` writes a first one) may set
effort (column `by a project`: yes, or the values listed). It may not name a program (`cc`), a place outside the
project (`cache_dir`, `model`, a `profile` elsewhere) or a server (`endpoint`), nor loosen a gate: those come from the
environment or from your own `config.toml`. What it may not set is ignored, with a line in `gccllm config` and
`gccllm doctor`. The less obvious ones:

- `mode`: not `record`, which builds a recorder into the program that writes the program's memory to your store, nor
  `trial`, whose programs are not meant to be shipped.
- `isa`: not `native`. A rewrite for `native` has no guard: on an older processor the program dies with SIGILL.
- `opt`, `strict`: yes, because a Makefile can also say -O3, or fail.
- `seed`: no. It decides which inputs are generated; somebody who knows them could choose a seed whose inputs miss an
  error.
- `exclude` adds to yours: a project cannot re-enable a function that you exclude.
- `project_owner`: no. Whose files count is not for those files to say.

A `gccllm.toml` counts only if you or root own it and it is not world-writable. Any other one (for example somebody
else's `/tmp/gccllm.toml` above a build directory) is skipped, with a line in `doctor`, and the search continues
upward. The same goes for `cache/` and `gccllm.profile` beside it. Group-writable files count, because a umask of 002
makes all files so. In a container that builds as root in another user's checkout, set `GCCLLM_PROJECT_OWNER=any`. The
whole picture: [threat-model.md](threat-model.md).
"""

_LIMITS_HEAD = """
## Limits

Fixed numbers that verdicts depend on; they are no settings. `gccllm config` prints them, and an entry's evidence
repeats those that accepted it. A name ends in its unit (`_s` seconds, `_ms` milliseconds of CPU time, `_bytes`); gains,
losses and shares are fractions. Generated from `gccllm/base/limits.py`.

| name | value | meaning |
|---|---|---|
"""

_HEADER = """\
/* Made by docs/generate.py from the table in gccllm/base/config.py: what a project's gccllm.toml may set. */
static const struct by_project {{
    const char *name;
    int is_inside; /* a relative path below the project's directory */
    const char *words[{most}]; /* when there are any: one of these; NULL at the end */
}} by_project[] = {{
{rows}}};
"""

_SHARED = """\
/* Made by docs/generate.py from the tables in gccllm/base: what both sides have to agree on. */
enum {{ PUT_OFF_S = {put_off}, FIRST_VERIFIED = {first} }}; /* seconds; gcc's first version that is worked on */

/* Options whose argument is, or may be, the next word. */
static const char *const with_argument[] = {{
{with_argument}
}};

/* Options that only name files: the same text compiled to another place is the same unit. */
static const char *const file_names[] = {{
{names_file}
}};

/* What the launcher puts behind an -O option; the first only where it raises the level. */
static const char *const ours[] = {{
{ours}
}};
"""

PAGES = {
    "docs/reasons.md": reasons,
    "docs/settings.md": settings,
    "docs/internals/formats.md": formats,
    "wrappers/by_project.h": by_project,
    "wrappers/shared.h": shared,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (Path(__file__).parents[1] / name).write_text(page())
