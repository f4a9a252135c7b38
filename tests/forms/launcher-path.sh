#!/bin/sh
# gcc-llm /usr/bin/cc …: the compiler by its path.
. "$(dirname "$0")/lib.sh"

ours() { CC="$LLM $(command -v cc)" run "$1"; }
plain() { CC=$(command -v cc) run plain; }
form() { $CC --version && $CC -O2 -c loop.c; }

compare 0
asked 1
labelled
