"""Stage `restore`: a checkpoint of an exported model, so that `sft` and `ppo` go on from it."""

from __future__ import annotations

import shutil

from gccllm.lab.train import config
from gccllm.lab.train.export import restore
from gccllm.lab.train.trainer import CHECKPOINT, save


def stage(settings: config.Config) -> None:
    """Read `export.to`, the package's own model by default. Raises ValueError where it would overwrite something."""
    out, model = settings.out, settings.export.to
    for name in (CHECKPOINT, "tokens.json"):
        if (out / name).exists():
            raise ValueError(f"{out / name} is there: move it away, or name another folder (--out)")
    weights = restore(model / "model.gguf")
    shutil.copyfile(model / "tokens.json", out / "tokens.json")
    save(out / CHECKPOINT, weights, {"used": 0.0, "trained": 0, "step": 0})
    print(f"restore: {sum(p.numel() for p in weights.parameters()) / 1e6:.2f} M parameters in {out}")


if __name__ == "__main__":
    config.run(stage, "export", __doc__)
