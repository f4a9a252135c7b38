"""Builds of random projects, plain and with rewrites: in this process, or by the launcher and the shim.

In this process one compile serves both builds: gcc's text is assembled as it is, and as the pipeline gives it back.
Through the shim everything is the product's own, caches included; only the engine behind it is the campaign's, reached
over a socket.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from gccllm import engine as product
from gccllm.base.core import Request
from gccllm.base.events import Log
from gccllm.base.options import LAUNCHER_ADDS
from tests.campaign.engine import Engine

HERE = Path(__file__).resolve().parent
RUN_S = 20
TIMEOUT = (-1, b"timeout")


class Broken(Exception):
    """A build that should work does not: the campaign's own fault, not a finding."""


def command(argv: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise Broken(f"{' '.join(argv)}\n{done.stderr[:2000]}")
    return done.stdout


def output(program: Path) -> tuple[int, bytes]:
    try:
        done = subprocess.run([str(program)], capture_output=True, timeout=RUN_S)
    except subprocess.TimeoutExpired:
        return TIMEOUT
    return done.returncode, done.stdout


@cache
def linker(flavour: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    """(what stands before the objects, what after) in the command with which gcc links, without collect2."""
    with place() as here:
        (here / "object.o").write_bytes(b"")
        argv = ["gcc", "-###", "object.o", *flavour, "-o", "program"]
        said = subprocess.run(argv, cwd=here, capture_output=True, text=True).stderr
    words = next([w.strip('"') for w in line.split()] for line in said.splitlines() if "collect2" in line)
    plugins = {i for i, w in enumerate(words) if w.startswith("-plugin")}
    words = [w for i, w in enumerate(words) if i not in plugins and (i - 1 not in plugins or words[i - 1] != "-plugin")]
    at = words.index("object.o")
    ld = shutil.which("ld") or "ld"
    return [ld, *words[1:at]], words[at + 1 :]


def link(objects: Sequence[Path], program: Path, libraries: Sequence[str] = ()) -> None:
    before, after = linker(tuple(libraries))
    words = [str(program) if word == "program" else word for word in (*before, *map(str, objects), *after)]
    command(words, program.parent)


@dataclass
class Built:
    """What one build gave."""

    want: tuple[int, bytes]
    got: tuple[int, bytes]
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def is_wrong(self) -> bool:
        return self.want != self.got


@dataclass
class Builder:
    """Builds in one directory with one store. Raises Broken."""

    engine: Engine
    here: Path
    store: Path
    prefix: Path | None = None
    """Where bin/gcc-llm is; needed for builds through the shim."""
    is_apart: bool = False
    """Every unit has a store of its own."""
    options: tuple[str, ...] = ()
    """Further options of every build."""
    libraries: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.objects: dict[str, tuple[str, Path, Path, bool]] = {}
        self.serial = 0

    def build(self, files: Mapping[str, str], sources: Sequence[str], flags: Sequence[str], *, shim: bool,
              afresh: bool) -> Built:  # fmt: skip
        """`afresh`: every unit is compiled, also where nothing changed. No header includes another one."""
        flags = (*flags, *self.options)
        source = self.here / "src"
        source.mkdir(parents=True, exist_ok=True)
        for old in source.glob("*.[ch]"):
            if old.name not in files:
                old.unlink()
        for name, text in files.items():
            (source / name).write_text(text)
        if not (source / "support.h").exists():
            shutil.copy(HERE / "support.h", source)
        counts: Counter[str] = Counter()
        pairs, any_ours = [], False
        for name in sources:
            included = [files[header] for header in sorted(files) if f'"{header}"' in files[name]]
            state = f"{shim} {flags} {included} {files[name]}"
            known = self.objects.get(name)
            if afresh or known is None or known[0] != state:
                self.serial += 1
                plain, ours = (source / f"{name}.{self.serial}.{kind}.o" for kind in ("plain", "ours"))
                compiled = self.by_shim if shim else self.in_process
                changed = compiled(source, name, flags, plain, ours, counts)
                self.objects[name] = known = (state, plain, ours, changed)
            pairs.append(known[1:3])
            any_ours |= known[3]
        want_program, got_program = source / "want", source / "got"
        link([pair[0] for pair in pairs], want_program, self.libraries)
        want = output(want_program)
        if want == TIMEOUT:
            raise Broken("gcc's own program does not end in time")
        got = want
        if any_ours:
            link([pair[1] for pair in pairs], got_program, self.libraries)
            got = output(got_program)
        counts["builds"] += 1
        counts["rewritten builds"] += any_ours
        return Built(want, got, counts)

    def store_of(self, name: str) -> Path:
        return self.store / name if self.is_apart else self.store

    # --- one unit -----------------------------------------------------------------------------------

    def in_process(self, source: Path, name: str, flags: Sequence[str], plain: Path, ours: Path,
                   counts: Counter[str]) -> bool:  # fmt: skip
        options = ["-O3" if flag in ("-O1", "-O2") else flag for flag in flags] + list(LAUNCHER_ADDS)
        text_file = source / f"{name}.s"
        command(["gcc", *options, "-w", "-S", name, "-o", str(text_file)], source)
        text = text_file.read_bytes().decode("latin-1")
        request = Request(
            text, ("--64", "-o", "x.o"), (*options, "-w", "-c", "-mtune=generic", "-march=x86-64"),
            ("gcc", *options, "-c", name), shutil.which("gcc") or "gcc", shutil.which("as") or "as", source,
        )  # fmt: skip
        worked = self.engine.worked
        result = self.engine.rewrite(request, self.store_of(name))
        admitted = [decision.function for decision in result.decisions if decision.word == "admitted"]
        counts["units"] += 1
        counts["admitted"] += len(admitted)
        counts["worked"] += self.engine.worked - worked
        counts["hits"] += len(set(admitted) - self.engine.names)
        command(["as", "--64", "-o", str(plain), str(text_file)], source)
        if result.text is None:
            shutil.copyfile(plain, ours)
            return False
        text_file.write_bytes(result.text.encode("latin-1"))
        command(["as", "--64", "-o", str(ours), str(text_file)], source)
        return True

    def by_shim(self, source: Path, name: str, flags: Sequence[str], plain: Path, ours: Path,
                counts: Counter[str]) -> bool:  # fmt: skip
        worked, door = self.engine.worked, Door.current
        assert self.prefix is not None
        assert door is not None
        door.store = self.store_of(name)
        asked, admitted = door.asked, door.admitted
        raised = ["-O3" if flag in ("-O1", "-O2") else flag for flag in flags]
        command(["gcc", *raised, "-w", "-c", name, "-o", str(plain)], source)
        command([str(self.prefix / "bin" / "gcc-llm"), *flags, "-w", "-c", name, "-o", str(ours)], source,
                door.environment(door.store))  # fmt: skip
        counts["shim units"] += 1
        counts["shim asked"] += door.asked - asked
        counts["unit cache hits"] += 1 - min(1, door.asked - asked)
        counts["admitted"] += door.admitted - admitted
        counts["worked"] += self.engine.worked - worked
        return True


class Door:
    """A socket behind which the campaign's engine answers the shim, in the product's own words (`engine.answer`)."""

    current: Door | None = None

    def __init__(self, engine: Engine, here: Path) -> None:
        self.engine, self.here = engine, here
        self.store = here / "store"
        """Of the build in progress."""
        self.asked = self.admitted = 0
        self.options: tuple[str, ...] = ()
        """Of the last request."""
        self.failures: list[str] = []
        self.program = here / "door"
        command(["gcc", "-O1", str(HERE / "door.c"), "-o", str(self.program)], here)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(here / "socket"))
        self.socket.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()
        Door.current = self

    def environment(self, store: Path) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GCCLLM_", "XDG_"))}
        return kept | {"GCCLLM_ENGINE": str(self.program), "CAMPAIGN_SOCKET": str(self.here / "socket"),
                       "GCCLLM_CACHE_DIR": str(store), "HOME": str(self.here), "GCCLLM_INCLUDE": "*"}  # fmt: skip

    def serve(self) -> None:
        while True:
            connection = self.socket.accept()[0]
            with connection:
                words = b""
                while piece := connection.recv(4096):
                    words += piece
                try:
                    status = self.answer(Path(os.fsdecode(words)))
                except Exception as error:  # as the engine's own process would: gcc's text stands
                    self.failures.append(f"{type(error).__name__}: {error}")
                    status = product.EXIT_FAILED
                connection.sendall(bytes([status]))

    def answer(self, directory: Path) -> int:
        request = product.read_request(directory)
        self.options = request.gcc_options
        self.asked += 1
        settings = self.engine.settings.with_values(cache_dir=str(self.store))
        log = CountingLog(self.store, self)
        with contextlib.ExitStack() as charged:
            return product.answer(product.Call(directory, request, settings, log, time.monotonic()), charged)


class CountingLog(Log):
    """The log, and how many functions were admitted."""

    def __init__(self, store: Path, door: Door) -> None:
        super().__init__(store)
        self.door = door

    def bind(self, **context: object) -> Log:
        other = CountingLog(self.path.parent.parent, self.door)
        other.context = {**self.context, **context}
        return other

    def write(self, event: str, reason: object = None, **words: object) -> None:  # type: ignore[override]
        if event == "function" and words.get("word") == "admitted":
            self.door.admitted += 1
        super().write(event, reason, **words)  # type: ignore[arg-type]


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """A directory in memory where there is one: a build writes a dozen small files."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="campaign-", dir=base, ignore_cleanup_errors=True) as directory:
        yield Path(directory)
