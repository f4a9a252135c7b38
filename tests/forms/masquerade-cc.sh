#!/bin/sh
# A symbolic link named cc says cc in its messages.
. "$(dirname "$0")/lib.sh"

ours() { mkdir -p bin; ln -sf "$LLM" bin/cc; CC=$top/bin/cc run "$1"; }
plain() { CC=cc run plain; }
form() { $CC --version; $CC -O2 -c loop.c nowhere.c; }

compare 1
asked 1
