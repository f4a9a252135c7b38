"""Write the pages that are tables of the code, and the end of docs/internals/formats.md: `python docs/generate.py`.

A test compares them with the tables.
"""

from __future__ import annotations

from pathlib import Path

from gccllm import config, schema
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
        "# Reasons\n\nEvery exit has a name; `gccllm stats` counts them, `gccllm explain FILE` gives each with its\n"
        "detail: the option, the instruction, the member, the values compared. Made from `gccllm/reasons.py`.\n"
    ]
    for scope, title in _TITLES.items():
        rows = "".join(f"| `{r.label}` | {r.says} | {r.next_step} |\n" for r in Reason if r.scope is scope)
        parts.append(f"\n## {title} ...\n\n| reason | ... | what can be done |\n|---|---|---|\n{rows}")
    return "".join(parts)


def settings() -> str:
    rows = ""
    for s in config.SETTINGS:
        default = ",".join(s.default) if isinstance(s.default, tuple) else s.default
        may = " ".join(f"`{word}`" for word in s.by_project) if isinstance(s.by_project, tuple) else s.by_project.value
        rows += f"| `{s.name}` | `{s.env}` | `{default}` | {may} | {s.says} |\n".replace("``", "(none)")
    others = "".join(f"| `{name}` | {says} |\n" for name, says in config.OTHER_VARIABLES.items())
    return _SETTINGS_HEAD + rows + _OTHERS_HEAD + others + _SETTINGS_TAIL


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


_JSON_TITLE = "## Output of `--json`\n"

_JSON_HEAD = """
What commands print for a machine. Made from `gccllm/schema.py` by `docs/generate.py`; a test holds each command to it.
A key is a path: `[]` after a name means each member of a list, `*` any name. There may be more keys than these; these
stay as long as `schema` is 1. `tests ls` and `tests show` print a list. C++ names are mangled in `function`, and as the
source spells them in `name`.
"""

_SETTINGS_HEAD = """\
# Settings

In falling precedence: environment, `gccllm.toml` (nearest upward from the compile's directory), the user's
`~/.config/gccllm/config.toml`, default. `gccllm config` shows each with its origin. A bad value is named there and
in `gccllm doctor`; the build goes on with the next origin's. This page is made from `gccllm/config.py`.

| name in a file | environment | default | by a project | meaning |
|---|---|---|---|---|
"""

_OTHERS_HEAD = """
Variables that are no settings, and stand in no file:

| environment | meaning |
|---|---|
"""

_SETTINGS_TAIL = """

Another `GCCLLM_*` is named in `gccllm config`, in `gccllm doctor` and in the log; with `GCCLLM_STRICT=1` it fails the
compile, as a bad value does.

## What a build waits for

`build_budget` is shared by all compiles of one build: the seconds in which at least one of them waits for work count
once. There is no daemon. A build is named by its outermost build tool (`make`, `ninja`, `cmake`, `meson`, `pip`,
`cargo`, `bazel` and the like: `wrappers/build.c`) among the processes above the compile; where there is none, by the
outermost process below the leader of the session, which is the command that was typed. So one `make`, with all it
calls, is one build, and a script that calls `gcc-llm` is one. `<store>/builds/` holds the accounts; a day later they
are removed.

When the budget is used up, units are queued without starting anything. What is queued or undecided is left alone by
builds for a day, or until `gccllm tune` has worked on it. Functions that look like set-up code by their names are left
to `tune` at once.

## What `gccllm tune` does

It works on the queued units of all projects, the one with the hottest function first; each leaves the queue when all
its functions are decided. `--jobs N` processes work side by side, by default one for each CPU that it may use; each
takes about 300 MB. `--budget S` is shared by all of them: no function is begun after so many seconds. A terminal shows
a line for each process and the time left, by what functions have taken before; a pipe gets a line for each unit.

Ctrl-C and SIGTERM end all processes and keep what is done (exit status 130); the same command goes on. A process that
is killed loses its unit only, which stays queued.

Timings take turns, and what the others do beside one is noise. A function that is too noisy stays undecided, and so
does one for which other work left no time to make inputs; such units are worked on once more at the end, alone.
Measured on two CPUs with other work (load 7 to 14), 12 functions of the kernel suite, proposer `recompile`: with
`--jobs 1` 2 of them stayed noisy, with `--jobs 2` 3, of which the second look decided one; the same 6 were admitted.
Timing was 12% of the CPU seconds (judging 57%), so up to about eight processes should hardly wait for each other. More
than two were not tried.

`gccllm stats --stages` sums the CPU seconds of all work by stage.

## What a project may set

A project is whatever was cloned or unpacked. Its `gccllm.toml` (`gccllm init toml` writes a first one) may set what
changes effort (`by a project`: yes, or the words listed). It may not name a program (`cc`), a place outside of it
(`cache_dir`, `model`, a `profile` elsewhere) or a server (`endpoint`), nor loosen a gate: those come from the
environment or from your own `config.toml`. What it may not set is ignored, with a line in `gccllm config` and
`gccllm doctor`. One by one, where it is not plain:

- `mode`: not `record`, which puts a recorder into the program that writes its memory to your store.
- `isa`: not `native`. A rewrite for `native` has no guard: on an older processor the program ends with SIGILL.
- `opt`, `strict`: a Makefile can say -O3, or fail, as well.
- `seed`: no. It decides which inputs are made; who has seen the inputs could choose a seed whose inputs miss a
  mistake.
- `exclude` adds to yours: a project cannot take away a function that you exclude.
- `trust`: no, of course.

A `gccllm.toml` counts only when you or root own it and not everybody may write it. Another one (say
`/tmp/gccllm.toml` of somebody else, above the directory of a build) is passed over with a line in `doctor`; the
search goes on above it. With it go `cache/` and `gccllm.profile` beside it. Files that their group may write count:
with a umask of 002 all are like that. In a container that builds as root in a checkout of another user, set
`GCCLLM_PROJECT_OWNER=any`. The whole picture: [threat-model.md](threat-model.md).
"""

_HEADER = """\
/* Made by docs/generate.py from the table in gccllm/config.py: what a project's gccllm.toml may set. */
static const struct by_project {{
    const char *name;
    int is_inside; /* a relative path below the project's directory */
    const char *words[{most}]; /* when there are any: one of these; NULL at the end */
}} by_project[] = {{
{rows}}};
"""

PAGES = {
    "docs/reasons.md": reasons,
    "docs/settings.md": settings,
    "docs/internals/formats.md": formats,
    "wrappers/by_project.h": by_project,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (Path(__file__).parents[1] / name).write_text(page())
