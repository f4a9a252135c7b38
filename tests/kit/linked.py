"""A program of one function, linked from assembly, and a body for it whose answer shows that it ran."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gccllm.assembly import Body

PLUS_100 = Body.parse("\tleal 100(%rdi), %eax\n\tret\n")
"""Answers otherwise than gcc's body, so that a test sees which one ran."""
WHICH = "int which(int x){return x+1;}"
MAIN = '#include <stdio.h>\nint which(int); int main(void){printf("%d ",which(7));return 0;}'


def run(tmp_path: Path, *arguments: str) -> str:
    done = subprocess.run([str(tmp_path / arguments[0]), *arguments[1:]], capture_output=True, text=True, timeout=20)
    return f"{done.stdout}{done.returncode}"


def link(tmp_path: Path, output: str, *inputs: str, compiler: str = "gcc") -> None:
    done = subprocess.run([compiler, *inputs, "-o", output], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
