"""What timing needs to know of a function, made by hand, and a function that takes long enough to be timed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gccllm.base.core import Returned
from gccllm.base.toolchain import Toolchain
from gccllm.sandbox.image import CalleeSpec
from tests.kit.replay import INT, TOOLS


@dataclass
class Bench:
    name: str
    text: str
    workdir: Path
    returns: tuple[Returned, ...] = INT
    tools: Toolchain = TOOLS
    callees: dict[str, CalleeSpec] = field(default_factory=dict)


SORT = """
int f(int *p, int n) { for (int i = 1; i < n; i++) { int x = p[i], j = i;
  while (j > 0 && p[j - 1] > x) { p[j] = p[j - 1]; j--; } p[j] = x; } return p[0]; }
"""
