#!/bin/sh
# A symbolic link named g++.
. "$(dirname "$0")/lib.sh"

ours() { mkdir -p bin; ln -sf "$LLM" bin/g++; CC=$top/bin/g++ run "$1"; }
plain() { CC=g++ run plain; }
form() { $CC --version && $CC -O2 -c loop.cc && $CC loop.o main.cc -o program && ./program; }

compare 0
asked 1
labelled
