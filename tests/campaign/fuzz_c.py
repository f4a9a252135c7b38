"""The C side of the fuzzing: `fuzz.c` on the sources of launcher and shim, with sanitizers."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
from hashlib import blake2b
from pathlib import Path

from tests.campaign import fuzz_corpus as corpus
from tests.campaign.mutate import mutated

WRAPPERS = corpus.ROOT / "wrappers"
SOURCES = ("asked.c", "blake2b.c", "common.c", "known.c", "settings.c", "text.c")
SANITIZE = ["-std=gnu11", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
TARGETS = {"C options": 0, "C settings": 1, "C unit entry": 2, "C response file": 3, "C text": 4, "C driver": 5}
TIMEOUT_S = 60
MOST_WRONG = 10


def build(place: Path) -> None:
    """Raises CalledProcessError."""
    out = place / "fuzz"
    sources = [corpus.ROOT / "tests/campaign/fuzz.c", *(WRAPPERS / name for name in SOURCES)]
    if not out.exists() or out.stat().st_mtime < max(path.stat().st_mtime for path in sources):
        subprocess.run(["gcc", *SANITIZE, f"-I{WRAPPERS}", *map(str, sources), "-o", str(out)], check=True)


def inputs(name: str, rng: random.Random, size: int) -> list[bytes]:
    return [_one(name, rng) for _ in range(size)]


def _one(name: str, rng: random.Random) -> bytes:
    match name:
        case "C options":
            if rng.random() < 0.5:
                return quoted(random_words(rng))
            return mutated(rng, corpus.OPTIONS, (b"'", b"\\", b" ", b"'\\''", b"'-O2'")).replace(b"\0", b"")
        case "C settings":
            names = tuple(setting.name.encode() for setting in corpus.config.SETTINGS)
            return mutated(
                rng, corpus.settings_files(), (*names, b"'off'", b'"record"', b"'native'", b'"""', b"=", b"\n[")
            )
        case "C unit entry":
            rows = b"same\t" + b"ab" * 32 + b"\t5\t1\t2\t3\twords\nabsent\tnothing\n\n\t.text\n"
            payload = mutated(rng, [rows, b"\n", b"absent\tx\n\ny"], (b"same\t", b"absent\t", b"\t", b"\n\n"))
            check = blake2b(payload, digest_size=32).hexdigest()
            whole = b"gccllm-unit 2 %s %d\n" % (check.encode(), len(payload)) + payload
            return whole if rng.random() < 0.5 else mutated(rng, [whole], (b"18446744073709551615", b"-1", b" ", b"\n"))
        case "C response file":
            return mutated(rng, corpus.RESPONSE, (b"@words", b"'", b'"', b"\\", b"-O2", b"\v"))
        case "C text":
            return mutated(rng, corpus.assembly(), (b"\tjmp\t", b".L1:", b"\n", b"call", b"loop"), 1 << 20)
        case _:
            return mutated(rng, (b"-O2\x1f-c\x1fx.c", b"\x1f\x1f"), (b"\x1f",)).replace(b"\0", b"")


def random_words(rng: random.Random) -> list[bytes]:
    letters = b"ab-O2='\\ \"$`\t;*\xc3\xa9\xff"
    return [bytes(rng.choice(letters) for _ in range(rng.randrange(12))) for _ in range(rng.randrange(1, 6))]


def quoted(words: list[bytes]) -> bytes:
    """As gcc puts them into COLLECT_GCC_OPTIONS."""
    return b" ".join(b"'" + word.replace(b"'", b"'\\''") + b"'" for word in words)


def expected(name: str, data: bytes) -> bytes | None:
    """What the C side must print of it; None where that is its own affair."""
    if name != "C options":
        return None
    words, rest = [], data
    while rest:  # only what gcc itself would have written
        if rest[:1] != b"'":
            return None
        word = b""
        while True:
            inner, quote, rest = rest[1:].partition(b"'")
            if not quote:
                return None
            word += inner
            if rest[:3] != b"\\''":
                break
            word, rest = word + b"'", rest[2:]
        words.append(word)
        if rest and (rest[:1] != b" " or len(rest) == 1):
            return None
        rest = rest[1:]
    return b"".join(word.hex().encode() + b"00" for word in words)


def run(place: Path, name: str, cases: list[bytes]) -> list[tuple[bytes, str]]:
    """Inputs that ended the process or gave another answer, and what was said."""
    wrong: list[tuple[bytes, str]] = []
    here = place / "here"
    while cases and len(wrong) < MOST_WRONG:
        shutil.rmtree(here, ignore_errors=True)
        (here / "units" / "ab").mkdir(parents=True)
        feed = b"".join(struct.pack("<BI", TARGETS[name], len(data)) + data for data in cases)
        env = {"PATH": os.environ["PATH"], "HOME": str(here), "ASAN_OPTIONS": "detect_leaks=0"}  # fmt: skip
        try:
            done = subprocess.run([place / "fuzz", here], input=feed, capture_output=True, env=env, timeout=TIMEOUT_S)
            said = done.stderr.decode("latin-1") or f"status {done.returncode}"
        except subprocess.TimeoutExpired as late:
            done = subprocess.CompletedProcess([], -1, late.stdout or b"", b"")
            said = f"over {TIMEOUT_S} s"
        lines = done.stdout.split(b"\n")[:-1]
        for data, line in zip(cases, lines, strict=False):
            want = expected(name, data)
            if want is not None and line.rpartition(b" ")[0] != want:
                wrong.append((data, f"{name}: {data[:60]!r} gives {line[:120]!r}"))
        if done.returncode == 0 and len(lines) == len(cases):
            break
        telling = [line for line in said.splitlines() if "ERROR" in line or "error:" in line]
        wrong.append((cases[len(lines)], (telling or [said])[0][:300]))
        cases = cases[len(lines) + 1 :]
    return wrong
