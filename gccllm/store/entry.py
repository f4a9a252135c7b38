"""One entry: a rewrite with its evidence, or the memory that nothing was found.

On disk an entry is text:

    gccllm-entry SCHEMA BLAKE2B-256-OF-THE-REST LENGTH-OF-THE-REST\\n
    { JSON, keys sorted, two spaces of indent }

A reader takes only its own SCHEMA; another one, a wrong checksum or a wrong length are three different errors, and all
of them are misses. History: 1 = keyed by the function's own text, which is not enough; 2 = by its situation
(`gccllm.unit.situation`), whose parts it carries; `answer` and the evidence's `limits` came later and may be missing.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gccllm.base.core import Reasoned
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason

SCHEMA = 2


def printable(text: str) -> str:
    """The text without characters that a terminal obeys: of a model, or of an entry from elsewhere."""
    return re.sub(rf"[{_OBEYED}]", "?", text)


def recipe_name(recipe: str) -> str:
    """How a rewrite was made, without its flags: those are in `gccllm show`."""
    return re.split("[:,]", recipe)[0]


def recipe_words(recipe: str) -> str:
    """A recipe whole, as people read it: an answer's number from 1, its ISA level by name."""
    from gccllm.assembly import level_name  # only for people: a store is read before anything is known to work

    return re.sub(
        r"(?:, (\d+))?, level (\d+)$",
        lambda said: (f", answer {int(said[1]) + 1}" if said[1] else "") + f", for {level_name(int(said[2]))}",
        recipe,
    )


class EntryError(Reasoned):
    """The bytes are not a whole entry of this schema. `reason` is ENTRY_CORRUPT or ENTRY_VERSION."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Symbol = Annotated[str, Field(pattern=r"^[^\x00-\x20\x7f\[\]]{1,4096}$")]
"""A function's name: no white space, nothing that a terminal or a table would read as more than a name."""
_OBEYED = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
Answer = Annotated[str, Field(max_length=LIMITS.answer_bytes, pattern=rf"^[^{_OBEYED}]*$")]
"""C of a model: shown to a person and never compiled from here."""
Time = Annotated[float, Field(ge=0, le=1e11)]
"""Seconds since 1970."""


class TimingRecord(Frozen):
    speedup: float
    low: float
    high: float
    classes: dict[str, float]
    baseline_ns: float
    aa: float
    rounds: int
    processes: int


class EvidenceRecord(Frozen):
    """What supports an accepted rewrite; enough to run everything again."""

    level: str
    """`compiled`: by the user's gcc from the user's source, chosen by a trial; `tested+covered`: all else."""
    tests: int
    seed: int
    edges_baseline: tuple[int, int]
    """(taken, all)."""
    edges_candidate: tuple[int, int]
    mutants: tuple[int, int]
    """(killed, all that are not shown equivalent)."""
    timing: TimingRecord
    cpu: str
    limits: dict[str, float] = Field(default={}, max_length=100)
    """The numbers that accepted it (`Limits.verdict`); empty in entries made before they were kept."""


class Bench(Frozen):
    """All that is needed to test the rewrite again with no source at hand."""

    slice: str
    """Self-contained assembly of the baseline, its callees in the unit and their data."""
    baseline: str
    """The baseline's body."""
    facts: dict[str, Any]
    """`store.graph` of the signature, the writable data it touches and the screen's context."""
    ubsan: str = ""
    """The same slice from the build that traps on undefined behaviour; empty when there was none."""
    scalar: str = ""
    """The slice of the unvectorised build, of which mutants are made as well; empty when there was none."""


class RecordingRecord(Frozen):
    """The recorded calls that were among the tests."""

    key: str
    """Of the test store: the function's baseline (`record.keys.test_key`)."""
    stamp: str
    """Checksum of the recording at that time: another one means that the function is to be looked at again."""
    calls: float
    """Calls of the program that the recording stands for."""
    recorded: int = 0
    """Tests that are recorded calls, of those that every candidate ran."""
    mutated: int = 0
    """Tests that are recorded calls changed a little."""


class Entry(Frozen):
    key: Key
    situation: dict[str, str]
    """The parts of the key: name -> digest (`gccllm.unit.situation`)."""
    function: Symbol
    source: str
    outcome: Literal["accepted", "nothing"]
    reason: str = ""
    """Why nothing was found (a `Reason` label); empty when accepted."""
    detail: str = ""
    body: str = ""
    """The rewrite's body text."""
    isa_level: int = Field(default=0, ge=0, le=99)
    proposer: str = ""
    recipe: str = ""
    dialect: str = ""
    answer: Answer = ""
    """The model's own words, where it answered in C."""
    evidence: EvidenceRecord | None = None
    bench: Bench | None = None
    recording: RecordingRecord | None = None
    refusals: dict[str, int] = Field(default={}, max_length=1000)
    """How many candidates were refused for which reason."""
    attempts: list[dict[str, Any]] = Field(default=[], max_length=10_000)
    """Every candidate put to the gates: proposer, recipe, outcome, reason, speed-up when timed."""
    answerer: str = ""
    """Who was asked (`propose.answerer`), where nothing was found."""
    created: Time
    expires: Time | None = None
    compiler: str = ""
    version: str = ""
    """Version of this package."""

    def dump(self) -> bytes:
        data = json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True).encode() + b"\n"
        check = hashlib.blake2b(data, digest_size=32).hexdigest()
        return f"gccllm-entry {SCHEMA} {check} {len(data)}\n".encode() + data

    @classmethod
    def load(cls, raw: bytes) -> Entry:
        """Raises EntryError unless `raw` is exactly one whole entry of this schema."""
        if len(raw) > LIMITS.entry_bytes:
            raise EntryError(Reason.ENTRY_CORRUPT, f"{len(raw)} bytes, over the cap of {LIMITS.entry_bytes}")
        head, newline, data = raw.partition(b"\n")
        words = head.split()
        if not newline or len(words) != 4 or words[0] != b"gccllm-entry" or not words[1].isdigit():
            raise EntryError(Reason.ENTRY_CORRUPT, "no entry header")
        if int(words[1]) != SCHEMA:
            raise EntryError(Reason.ENTRY_VERSION, f"schema {int(words[1])}, this version reads {SCHEMA}")
        if words[3] != str(len(data)).encode():
            raise EntryError(Reason.ENTRY_CORRUPT, f"length: want {words[3]!r}, got {len(data)}")
        if hashlib.blake2b(data, digest_size=32).hexdigest().encode() != words[2]:
            raise EntryError(Reason.ENTRY_CORRUPT, "checksum")
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise EntryError(Reason.ENTRY_CORRUPT, " ".join(str(error).split("\n")[1:3])[:200]) from error
