#!/bin/sh
# An installation without its assembler is gcc.
. "$(dirname "$0")/lib.sh"

mkdir -p broken/bin && cp "$LLM" broken/bin/
ours() { CC=$top/broken/bin/gcc-llm run "$1"; }
form() { $CC -O2 -v -c loop.c; }

compare 0
asked 0
