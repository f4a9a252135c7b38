#!/bin/sh
# A call of itself counts as a loop.
. "$(dirname "$0")/lib.sh"

form() {
    echo 'long f(long n) { return n < 2 ? n : f(n - 1) * f(n - 2) + n; }' >r.c
    $CC -O2 -c r.c
}

compare 0
asked 1
labelled
