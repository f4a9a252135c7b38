"""`gccllm doctor`: what works here, what does not, and how to fix it. One row a check; each tries the real thing."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from gccllm.base.config import Settings
from gccllm.base.core import Decline
from gccllm.base.events import read
from gccllm.base.toolchain import FREE, VERIFIED, run
from gccllm.base.words import counted
from gccllm.commands import schema
from gccllm.commands.context import tools_of

Check = Callable[[Settings], tuple[str, str]]
"""Returns (state, words): state is `ok`, `warn` (works, but less) or `fail` (gcc's own output only)."""
AGAIN = "install again: in a clone of gcc-llm, pip install --force-reinstall --no-deps ."


def _prefix_file(*parts: str) -> Path | None:
    # Beside the command that runs comes first: in a copied environment it starts the Python of the old one.
    for base in (Path(sys.argv[0]).absolute().parent.parent, Path(sys.prefix), Path(sys.executable).parent.parent):
        if (path := base.joinpath(*parts)).is_file():
            return path
    return None


def check_gcc(settings: Settings) -> tuple[str, str]:
    tools = tools_of(settings)
    version = run([tools.gcc, "--version"])
    if not version.ok:
        return "fail", f"{tools.gcc} does not run; install gcc or set GCCLLM_CC"
    first = version.out.decode().splitlines()[0]
    if FREE not in version.out:
        return "fail", f"{first} is not gcc; set GCCLLM_CC to a gcc"
    if tools.major not in VERIFIED:
        left = "; its units are left to gcc" if tools.major < VERIFIED[0] else ""
        return "warn", f"gcc {tools.major}: not verified, {VERIFIED[0]} to {VERIFIED[-1]} are (docs/compilers.md){left}"
    return "ok", first


def check_shim(settings: Settings) -> tuple[str, str]:
    shim = _prefix_file("libexec", "gccllm", "as")
    if shim is None:
        return "fail", f"libexec/gccllm/as is missing; {AGAIN}"
    env = {**os.environ, "COMPILER_PATH": str(shim.parent)}
    named = run([settings["cc"] or "gcc", "-print-prog-name=as"], env=env).out.decode().strip()
    if Path(named) != shim:
        return "fail", f"gcc runs {named} and not our assembler shim (configured --with-as?); builds are plain gcc"
    return "ok", f"gcc runs {shim}"


def launcher() -> Path | None:
    """The gcc-llm of this installation, else the one on PATH."""
    ours = _prefix_file("bin", "gcc-llm")
    found = shutil.which("gcc-llm")
    return ours or (Path(found) if found else None)


def check_launcher(settings: Settings) -> tuple[str, str]:
    ours, found = launcher(), shutil.which("gcc-llm")
    if ours is None:
        return "fail", f"gcc-llm is missing; {AGAIN}"
    if found is None:
        return "warn", f"{ours} is not on PATH; add {ours.parent}, or say CC={ours}"
    if Path(found).resolve() != ours.resolve():
        return "warn", f"another gcc-llm comes first on PATH: {found}; this is {ours}"
    return "ok", str(ours)


def check_start(settings: Settings) -> tuple[str, str]:
    """The engine's first line: what starts it, and of which environment that is."""
    ours = launcher()
    engine = ours.resolve().with_name("gccllm-engine") if ours else None
    if engine is None or not engine.is_file():
        return "fail", f"gccllm-engine is missing; {AGAIN}"
    with engine.open("rb") as file:
        words = file.readline(4096).decode("utf-8", "replace").removeprefix("#!").split()
    starts = Path(words[0] if words else "")
    if not starts.is_file():
        return "fail", f"{engine} starts {starts}, which is not there; {AGAIN}"
    here, there = engine.parent.parent, starts.parent.parent
    if here != there and all((place / "pyvenv.cfg").is_file() for place in (here, there)):
        return "warn", f"{engine} starts the Python of {there}: was {here} copied? {AGAIN}"
    return "ok", str(engine)


def check_sandbox(settings: Settings) -> tuple[str, str]:
    from gccllm.base.core import RunStatus, Test
    from gccllm.sandbox.image import AssembleError, build_image
    from gccllm.sandbox.replay import Replayer

    text = "\t.text\n\t.globl f\n\t.type f, @function\nf:\n\tleal 1(%rdi), %eax\n\tret\n\t.size f, .-f\n"
    try:
        with tempfile.TemporaryDirectory(prefix="gccllm-") as scratch:
            image = build_image(Path(scratch), text, tools_of(settings))
            with Replayer(image, ()) as replayer:
                seen = replayer.run("f", [Test(ints=(41,), int_bytes=(4,))])[0]
    except Decline as decline:
        return "fail", f"{decline.reason.says} ({decline.detail}); nothing can be verified here"
    except AssembleError as error:
        return "fail", f"the assembler rejects our test function ({error}); install binutils"
    if seen.status is not RunStatus.OK:
        return "fail", f"a test run ended with {seen.status}"
    return "ok", "a function ran confined (seccomp, rlimits)"


def check_model(settings: Settings) -> tuple[str, str]:
    from gccllm.propose import doctor as model_doctor

    return model_doctor.check(settings)


def check_answer(settings: Settings) -> tuple[str, str]:
    from gccllm.propose import doctor as model_doctor

    return model_doctor.check_answer(settings)


def check_clang(settings: Settings) -> tuple[str, str]:
    from gccllm.propose.unit import find_clang

    clang = find_clang()
    return (
        ("ok", clang)
        if clang
        else ("warn", "none; a clang (clang-19) on PATH gives the recompile proposer more recipes")
    )


def check_store(settings: Settings) -> tuple[str, str]:
    store = settings.store_dir
    try:
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=store):
            pass
    except OSError as error:
        return "warn", f"{store}: {error.strerror}; no result is kept between builds (set GCCLLM_CACHE_DIR)"
    if others := writers(store):
        return "warn", f"{store}: {others} can write to it, and its rewrites are linked without being verified again"
    free = shutil.disk_usage(store).free
    if free < 100 << 20:
        return "warn", f"{store}: only {free >> 20} MiB free"
    return "ok", f"{store}, {free >> 30} GiB free"


def writers(store: Path) -> str:
    """Who else may write the store, in words; empty when only you can."""
    status = store.stat()
    if status.st_uid not in (0, os.geteuid()):
        return f"user {status.st_uid}"
    return "everybody" if status.st_mode & stat.S_IWOTH else ""


def check_engine(settings: Settings) -> tuple[str, str]:
    """Whether the engine answered the last build that asked it."""
    failure, detail, answers = "", "", 0
    for event in read(settings.store_dir):
        if event["event"] == "unit":
            failure, answers = "", answers + 1
        elif event["event"] == "engine":
            detail = str(event.get("detail", ""))
        elif event["event"] == "shim" and str(event.get("reason", "")).startswith("engine_"):
            failure = str(event["reason"])
    if failure:
        fix = f"{AGAIN}; then run `gccllm doctor` and build"
        said = f" ({detail})" if detail and failure == "engine_crashed" else ""
        return "fail", f"{failure}{said} in the last build that needed the engine; that build is plain gcc; {fix}"
    return "ok", f"it answered for {counted(answers, 'unit')}" if answers else "no build has asked it yet"


def check_settings(settings: Settings) -> tuple[str, str]:
    return ("warn", "; ".join(settings.complaints)) if settings.complaints else ("ok", "all valid")


def check_ccache(settings: Settings) -> tuple[str, str]:
    ccache = shutil.which("ccache")
    if ccache is None:
        return "ok", "not installed"
    shown = run([ccache, "-p"], env=dict(os.environ)).out.decode()
    if "--gccllm-fingerprint" in shown:
        return "ok", "asks for our fingerprint"
    return "warn", "before `ccache gcc-llm`: export CCACHE_COMPILERCHECK='%compiler% --gccllm-fingerprint'"


def check_build(settings: Settings) -> tuple[str, str]:
    """A real compile through the launcher gives gcc's own object where nothing is eligible."""
    ours = launcher()
    if ours is None:
        return "fail", "no launcher"
    with tempfile.TemporaryDirectory(prefix="gccllm-") as scratch:
        source = Path(scratch) / "t.c"
        source.write_text("int f(int x) { return x + 1; }\n")
        objects = []
        for compiler in (settings["cc"] or "gcc", str(ours)):
            ran = run([compiler, "-O3", "-c", "t.c", "-o", "t.o"], cwd=Path(scratch), env=os.environ)
            if ran.code or ran.err:
                return "fail", f"{compiler}: {ran.err.strip() or ran.code}"
            objects.append((Path(scratch) / "t.o").read_bytes())
    return ("ok", "same object as gcc") if objects[0] == objects[1] else ("fail", "the object differs from gcc's")


CHECKS: tuple[tuple[str, Check], ...] = (
    ("gcc", check_gcc),
    ("launcher", check_launcher),
    ("engine", check_start),
    ("assembler shim", check_shim),
    ("compile", check_build),
    ("sandbox", check_sandbox),
    ("model", check_model),
    ("model answers", check_answer),
    ("clang", check_clang),
    ("store", check_store),
    ("builds", check_engine),
    ("settings", check_settings),
    ("ccache", check_ccache),
)


NEED_GCC = frozenset({"assembler shim", "compile", "sandbox"})
"""Checks that say nothing where there is no gcc."""


def run_checks(settings: Settings) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    for name, check in CHECKS:
        if name in NEED_GCC and ("gcc", "fail") in {row[:2] for row in rows}:
            rows.append((name, "fail", "not tried without a gcc"))
            continue
        try:
            state, words = check(settings)
        except Exception as error:  # a check that breaks is a finding, not a crash of the doctor
            state, words = "fail", f"{type(error).__name__}: {error}"
        rows.append((name, state, words))
    return rows


def run_table(console: Console, rows: list[tuple[str, str, str]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("check", "state", "what"):
        table.add_column(column, overflow="fold")
    style = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    for name, state, words in rows:
        table.add_row(name, f"[{style[state]}]{state}[/]", words)
    console.print(table)


def run_doctor(console: Console, settings: Settings, as_json: bool = False) -> int:
    rows = run_checks(settings)
    failed = [f"{name}: {words}" for name, state, words in rows if state == "fail"]
    if as_json:
        checks = [{"check": name, "state": state, "says": words} for name, state, words in rows]
        print(schema.as_json("doctor", ready=not failed, checks=checks))
        return 1 if failed else 0
    run_table(console, rows)
    console.print(f"not ready; first fix {failed[0]}" if failed else "ready: make CC=gcc-llm", soft_wrap=True)
    return 1 if failed else 0
