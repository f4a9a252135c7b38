"""A project of one unit, compiled by gcc-llm with an engine that a test makes up."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import pytest

from gccllm.base.events import read

LOOP = "int sum(const int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }\n"

RECORD = 'cp "$1/request" "$HERE/request"; cp "$1/in.s" "$HERE/in.s"; echo "$1" >>"$HERE/calls"'
"""An engine's body: keep what we were asked, offer nothing."""

LABEL = RECORD + r"""; sed 's/^sum:$/&\nseen_by_engine:/' "$1/in.s" >"$1/out.s" """
"""An engine's body: gcc's text with one more local symbol."""


@dataclass
class Site:
    """A working directory, a store, a temporary directory of its own, and an engine."""

    prefix: Path
    here: Path
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("src", "tmp", "home"):
            (self.here / name).mkdir()
        (self.src / "loop.c").write_text(LOOP)
        self.engine(RECORD)

    @property
    def src(self) -> Path:
        return self.here / "src"

    @property
    def store(self) -> Path:
        return self.here / "store"

    @property
    def tmp(self) -> Path:
        return self.here / "tmp"

    def engine(self, body: str) -> None:
        """Install a shell engine; `$1` is the request's directory, `$HERE` ours."""
        script = self.here / "engine"
        script.write_text(f"#!/bin/sh\nHERE='{self.here}'\n{body}\n")
        script.chmod(0o755)

    def environment(self, extra: Mapping[str, str] = {}) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GCCLLM_", "XDG_", "MAKE", "MFLAGS"))}
        ours = {
            "GCCLLM_CACHE_DIR": str(self.store),
            "GCCLLM_ENGINE": str(self.here / "engine"),
            "GCCLLM_OPT": "untouched",
            "HOME": str(self.here / "home"),
            "LC_ALL": "C",
            "TMPDIR": str(self.tmp),
            "ASAN_OPTIONS": "detect_leaks=0",
        }
        return kept | ours | self.settings | extra

    @property
    def command(self) -> str:
        return str(self.prefix / "bin" / "gcc-llm")

    def compile(self, *options: str, env: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
        """gcc-llm -O2 -c loop.c -o out.o, and what is said."""
        command = [self.command, "-O2", "-c", "loop.c", "-o", "out.o", *options]
        return subprocess.run(
            command, cwd=self.src, env=self.environment(env), capture_output=True, text=True, timeout=100
        )

    def quiet(self, *options: str, env: Mapping[str, str] = {}) -> bytes:
        """The object of a compile that succeeds and says nothing."""
        done = self.compile(*options, env=env)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return (self.src / "out.o").read_bytes()

    @property
    def own(self) -> bytes:
        """gcc's own object."""
        subprocess.run(["gcc", "-O2", "-c", "loop.c", "-o", "own.o"], cwd=self.src, check=True)
        return (self.src / "own.o").read_bytes()

    @property
    def asked(self) -> int:
        calls = self.here / "calls"
        return len(calls.read_text().splitlines()) if calls.exists() else 0

    @property
    def request(self) -> dict[str, list[str]]:
        return read_request((self.here / "request").read_bytes())

    @property
    def key(self) -> str:
        return self.request["unit_key"][0]

    @property
    def entry(self) -> Path:
        return self.store / "units" / self.key[:2] / self.key

    def write_entry(self, payload: bytes, rows: Sequence[str] = ()) -> None:
        """As docs/internals/formats.md says."""
        data = b"".join(row.encode() + b"\n" for row in rows) + b"\n" + payload
        digest = blake2b(data, digest_size=32).hexdigest()
        self.entry.parent.mkdir(parents=True, exist_ok=True)
        self.entry.write_bytes(b"gccllm-unit 2 %s %d\n" % (digest.encode(), len(data)) + data)

    def labelled_text(self) -> bytes:
        return (self.here / "in.s").read_bytes().replace(b"\nsum:\n", b"\nsum:\nseen_by_engine:\n")

    @property
    def failures(self) -> list[str]:
        return [event["reason"] for event in read(self.store) if event["event"] == "shim"]


def read_request(data: bytes) -> dict[str, list[str]]:
    """The request's lines by key, as docs/internals/formats.md says."""
    fields: dict[str, list[str]] = {}
    escapes = {"\\": "\\", "n": "\n", "t": "\t"}
    for line in os.fsdecode(data).split("\n")[:-1]:
        key, value = line.split("\t")
        parts = value.split("\\\\")
        plain = "\\".join(p.replace("\\n", escapes["n"]).replace("\\t", escapes["t"]) for p in parts)
        fields.setdefault(key, []).append(plain)
    return fields


@pytest.fixture
def site(prefix: Path, tmp_path: Path) -> Site:
    here = tmp_path / "site"
    here.mkdir()
    return Site(prefix, here)


Unshared = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def in_small_filesystem(site: Site) -> Unshared:
    """Run a shell command where `$SMALL` is a full file system of 64 KiB; skips where mounting is not allowed."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare, to mount a small file system")
    small = site.here / "small"
    small.mkdir()

    def run(command: str) -> subprocess.CompletedProcess[str]:
        mount = (
            f"mount -t tmpfs -o size=64k none '{small}' || exit 77; head -c 1000000 /dev/zero >'{small}/fill' 2>&1; "
        )
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", mount + command],
            cwd=site.src, env=site.environment({"SMALL": str(small)}), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        if done.returncode == 77 or "unshare failed" in done.stderr:
            pytest.skip("the kernel allows no mount here")
        return done

    return run
