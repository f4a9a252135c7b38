"""What the store knows of the functions on trial: one small file a function, `<user>/trials/<identity>.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from gccllm.base.regular import read_regular
from gccllm.store.entry import Frozen, Key, Symbol
from gccllm.store.layers import write_atomically

PLACEBO = "placebo"
"""A copy of gcc's own body."""
REWRITE = "rewrite"
"""A rewrite that the store admits."""
MOST_BYTES = 100_000


class Contender(Frozen):
    """A body on trial, by the recipe that made it; the first of a contest is body 1."""

    recipe: str
    isa_level: int


class KnownContest(Frozen):
    """A function on trial: who takes part, and the situation in which the outcome will be a decision."""

    key: Key
    situation: dict[str, str]
    function: Symbol
    source: str
    compiler: str
    cwd: str
    """Directory of the compile: whose project the function belongs to."""
    contenders: tuple[Contender, ...]
    clones: tuple[Symbol, ...] = ()
    """What gcc's own body calls that comes along with the others; its time counts as the function's."""

    def share(self, shares: Mapping[str, float]) -> float:
        """Of the program's time, by the shares of functions."""
        return sum(shares.get(name, 0.0) for name in (self.function, *self.clones))

    @property
    def identity(self) -> str:
        """What the program's chooser calls it."""
        return self.key[:16]


class Contests:
    """Raises OSError only from `put`."""

    def __init__(self, user: Path) -> None:
        self.place = user / "trials"

    def put(self, contest: KnownContest) -> None:
        write_atomically(self.place / f"{contest.identity}.json", contest.model_dump_json().encode())

    def of_project(self, root: Path) -> list[KnownContest]:
        """Those of compiles inside `root`."""
        known = (self.get(path.stem) for path in sorted(self.place.glob("*.json")))
        return [one for one in known if one is not None and Path(one.cwd).is_relative_to(root)]

    def get(self, identity: str) -> KnownContest | None:
        """None for what is not there or cannot be read."""
        try:
            return KnownContest.model_validate_json(read_regular(self.place / f"{identity}.json", MOST_BYTES)[0])
        except (OSError, ValidationError, ValueError):
            return None
