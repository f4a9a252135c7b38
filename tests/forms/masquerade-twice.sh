#!/bin/sh
# Two directories of ours in PATH, one a copy: still gcc in the end.
. "$(dirname "$0")/lib.sh"

ours() {
    mkdir -p one two
    cp "$LLM" one/gcc
    ln -sf "$LLM" two/gcc
    PATH=$top/one:$top/two:$PATH run "$1"
}
plain() { run plain; }
form() { gcc -O2 -c loop.c; }

compare 0
asked 1
