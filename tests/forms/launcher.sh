#!/bin/sh
# gcc-llm gcc …: the form of CMAKE_C_COMPILER_LAUNCHER.
. "$(dirname "$0")/lib.sh"

ours() { CC="$LLM gcc" run "$1"; }
form() { $CC --version && $CC -O2 -c loop.c; }

compare 0
asked 1
labelled
