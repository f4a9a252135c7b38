#!/bin/sh
# A directory of symbolic links in front of PATH, and no path in the command.
. "$(dirname "$0")/lib.sh"

ours() { mkdir -p bin; ln -sf "$LLM" bin/gcc; ln -sf gcc bin/cc; PATH=$top/bin:$PATH run "$1"; }
plain() { run plain; }
form() { gcc --version && gcc -O2 -c loop.c && cc -O2 -flto -frandom-seed=1 loop.c main.c -o program && ./program; }

compare 0
labelled
