#!/bin/sh
# -print-prog-name= and -print-file-name=.
. "$(dirname "$0")/lib.sh"

form() {
    for p in as ld cc1 collect2 nothing; do $CC -print-prog-name=$p; done
    $CC -print-file-name=crt1.o && $CC -print-libgcc-file-name && $CC -print-multi-lib && $CC -print-sysroot
}

compare 0
asked 0
