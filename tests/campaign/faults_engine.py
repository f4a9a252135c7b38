"""The product's engine for faults: all of it, but that timing says yes and only two recipes are tried.

A busy machine says `noisy`, and then a campaign about damage would have no rewrites to damage.
"""

from __future__ import annotations

import sys
from typing import Any

from gccllm import engine
from gccllm.base.core import Timing, accepted
from gccllm.propose import recompile
from gccllm.verify import timing

RECIPES = [recipe for recipe in recompile.RECIPES if recipe.name in ("gcc-scalar-unrolled", "gcc-no-guess")]


def measure(*args: Any, **more: Any) -> tuple[Any, Timing]:
    return accepted("timing"), Timing(2.0, 1.9, 2.1, {"typical": 2.0}, 100.0, 1.0, 1, 1)


class Quick(recompile.RecompileProposer):
    def propose(self, *args: Any, **more: Any) -> Any:
        self.recipes = RECIPES
        return super().propose(*args, **more)


if __name__ == "__main__":
    timing.measure = measure  # type: ignore[assignment]
    timing.screen_speed = lambda *_, **__: 2.0  # type: ignore[assignment]
    recompile.RecompileProposer = Quick  # type: ignore[misc]
    sys.exit(engine.main())
