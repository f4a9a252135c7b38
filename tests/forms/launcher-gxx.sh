#!/bin/sh
# gcc-llm g++ ….
. "$(dirname "$0")/lib.sh"

ours() { CC="$LLM g++" run "$1"; }
plain() { CC=g++ run plain; }
form() { $CC -O2 loop.cc main.cc -o program && ./program; }

compare 0
asked 1
labelled
