#!/bin/sh
# -dumpdir and -dumpbase.
. "$(dirname "$0")/lib.sh"

form() { mkdir d && $CC -O2 -dumpdir d/ -dumpbase x.c -dumpbase-ext .c -fstack-usage -fdump-tree-optimized -c loop.c -o out.o; }

compare 0
asked 1
labelled
