#!/bin/sh
# What is not raised: no level, -O0, -Og, -Os, -Oz (where gcc has it: 12), and words that only look like levels.
. "$(dirname "$0")/lib.sh"

unset GCCLLM_OPT
levels='-O0 -Og -Os'
gcc -Oz -E - </dev/null >/dev/null 2>&1 && levels="$levels -Oz"
form() {
    for o in $levels '-O2 -O0'; do $CC $o -c loop.c -o "x$o.o" || return 1; done
    $CC -c loop.c -o -O2 -I -O2 -Wl,-O2 -Xlinker -O2 && mv ./-O2 none.o
}

compare 0
asked 0
