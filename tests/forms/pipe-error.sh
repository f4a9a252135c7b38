#!/bin/sh
# -pipe and a source that does not compile.
. "$(dirname "$0")/lib.sh"

form() {
    echo 'int f(void) { return x; }' >bad.c
    $CC -pipe -O2 -c bad.c
}

compare 1
asked 0
