"""Settings as the environment gives them, and a function that the product works on."""

from __future__ import annotations

from pathlib import Path

from gccllm.base import config

LOOP = "int f(const int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }\n"


def settings(**env: str) -> config.Settings:
    return config.load(Path("/"), {f"GCCLLM_{name.upper()}": value for name, value in env.items()})
