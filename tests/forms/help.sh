#!/bin/sh
# --help and its branches.
. "$(dirname "$0")/lib.sh"

form() { $CC --help && $CC --target-help && $CC --help=optimizers -O2 && $CC -Q --help=target; }

compare 0
asked 0
