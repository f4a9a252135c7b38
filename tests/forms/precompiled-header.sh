#!/bin/sh
# A precompiled header, made and used.
. "$(dirname "$0")/lib.sh"

form() { echo '#include <stdio.h>' >pre.h && $CC -O2 pre.h && $CC -O2 -Winvalid-pch -include pre.h -c main.c && rm pre.h.gch; }

compare 0
asked 1
labelled
