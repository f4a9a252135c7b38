"""Stage `restore`: a checkpoint of an exported model, so that `sft` and `ppo` go on from it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from gccllm.lab.train import config
from gccllm.lab.train.export import restore
from gccllm.lab.train.trainer import CHECKPOINT, save


def stage(settings: config.Config) -> None:
    """Read a model, the package's own by default. Raises ValueError where it would overwrite something."""
    out, model = settings.out, settings.restore.model
    for name in (CHECKPOINT, "tokens.json"):
        if (out / name).exists():
            raise ValueError(f"{out / name} is there: move it away, or name another folder (--out)")
    weights = restore(model / "model.gguf")
    shutil.copyfile(model / "tokens.json", out / "tokens.json")
    save(out / CHECKPOINT, weights, {"used": 0.0, "trained": 0, "step": 0})
    print(f"restore: {sum(p.numel() for p in weights.parameters()) / 1e6:.2f} M parameters in {out}")


def main(arguments: Sequence[str]) -> None:
    config.run(stage, "restore", __doc__, arguments)
