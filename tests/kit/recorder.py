"""Programs with recording stubs, built from C in a moment, and what a run of them leaves."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gccllm.assembly import Module
from gccllm.base import config
from gccllm.base.core import Decline
from gccllm.base.toolchain import Toolchain
from gccllm.record.capture import Counts, RecordedCall, read_capture, read_counts
from gccllm.record.keys import test_key as key_of
from gccllm.record.stub import Stub, data_symbols, recorded_text, recorder_text
from gccllm.unit import hotness, policy

GENEROUS = {"GCCLLM_RECORD_CPU": "100000", "GCCLLM_RECORD_CALLS": "6"}
"""No sample is dropped for want of time; few are wanted."""
TOOLS = Toolchain.find()
_SETTINGS = config.load(env={}).with_values(max_functions=1000)


def stubs_of(module: Module) -> list[Stub]:
    """A stub for every function that a record build would record, its bench aside."""
    out = []
    for heat in hotness.rank(module, _SETTINGS)[0]:
        try:
            policy.declines_function(heat.function, _SETTINGS)
        except Decline:
            continue
        function = heat.function
        out.append(Stub(function, key_of(module, function), data_symbols(module, function)))
    return out


@dataclass
class Ran:
    code: int
    out: str
    err: str
    counts: dict[str, Counts] = field(default_factory=dict)
    """By function; the last process to write wins."""
    every_count: list[Counts] = field(default_factory=list)
    captures: list[RecordedCall] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """Of all files, temporary ones too."""

    def of(self, function: str) -> list[RecordedCall]:
        """Captures of a function, in the order of its calls."""
        key = self.counts[function].key
        return sorted((c for c in self.captures if c.key == key), key=lambda c: c.number)


@dataclass
class Workplace:
    here: Path

    def compile(self, source: str, *flags: str, name: str = "unit", language: str = "c") -> Path:
        """An object with stubs in every function that can have one."""
        text = TOOLS.compile(["-O2", *flags, "-S", "-x", language, "-", "-o", "-"], stdin=source.encode())
        assert text.ok, text.err
        module = Module.parse(text.out.decode("latin-1"))
        recorded = recorded_text(module, stubs_of(module), recorder_text(TOOLS.gcc))
        path = self.here / f"{name}.o"
        ran = TOOLS.assemble(recorded, path)
        assert ran.ok, ran.err
        return path

    def link(self, *words: str | Path, output: str = "program", compiler: str = "gcc") -> Path:
        ran = subprocess.run(
            [compiler, *map(str, words), "-o", output], cwd=self.here, capture_output=True, text=True, timeout=100
        )
        assert ran.returncode == 0, ran.stderr
        return self.here / output

    def program(self, source: str, *flags: str, link: tuple[str, ...] = ()) -> tuple[Path, Path]:
        """The same program with stubs and without."""
        plain = self.here / "plain.o"
        done = TOOLS.compile(["-O2", *flags, "-c", "-x", "c", "-", "-o", str(plain)], stdin=source.encode())
        assert done.ok, done.err
        recorded = self.link(self.compile(source, *flags), *link, output="recorded")
        return recorded, self.link(plain, *link, output="plain")

    def run(
        self,
        *command: str | Path,
        record: bool = True,
        env: Mapping[str, str] = GENEROUS,
        before: Callable[[], None] | None = None,
        name: str = "recording",
    ) -> Ran:
        directory = self.here / name
        directory.mkdir(mode=0o700, exist_ok=True)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("GCCLLM_")}
        given = {**clean, **env, "GCCLLM_RECORD_DIR": str(directory)} if record else clean
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.here, env=given, capture_output=True, text=True, timeout=200, preexec_fn=before,
        )  # fmt: skip
        return self.read(done, directory)

    def read(self, done: subprocess.CompletedProcess[str], directory: Path) -> Ran:
        ran = Ran(done.returncode, done.stdout, done.stderr)
        if not directory.is_dir():
            return ran
        ran.names = sorted(path.name for path in directory.iterdir())
        for path in sorted(directory.glob("[!.]*.counts")):
            ran.every_count += read_counts(path)
        ran.counts = {count.name: count for count in ran.every_count}
        ran.captures = [read_capture(path) for path in sorted(directory.glob("[!.]*.cap"))]
        return ran


def alike(
    work: Workplace, source: str, *arguments: str, flags: tuple[str, ...] = (), link: tuple[str, ...] = ()
) -> Ran:
    """Run the program plain, with stubs, and recorded: all three end and say the same. What was recorded."""
    recorded, plain = work.program(source, *flags, link=link)
    want = work.run(plain, *arguments, record=False)
    unset = work.run(recorded, *arguments, record=False)
    ran = work.run(recorded, *arguments)
    assert (unset.code, unset.out, unset.err) == (want.code, want.out, want.err)
    assert (ran.code, ran.out, ran.err) == (want.code, want.out, want.err)
    assert not [name for name in ran.names if name.startswith(".")]
    return ran
