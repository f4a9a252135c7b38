#!/bin/sh
# A symbolic link named gcc, called by its path.
. "$(dirname "$0")/lib.sh"

ours() { mkdir -p bin; ln -sf "$LLM" bin/gcc; CC=$top/bin/gcc run "$1"; }
plain() { CC=gcc run plain; }
form() { $CC --version && $CC -O2 -c loop.c; }

compare 0
asked 1
labelled
