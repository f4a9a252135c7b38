#!/bin/sh
# -x assembler -.
. "$(dirname "$0")/lib.sh"

form() { $CC -x assembler -c - -o out.o <hand.s; }

compare 0
asked 0
