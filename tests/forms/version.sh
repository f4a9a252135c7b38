#!/bin/sh
# --version is gcc's, to the byte.
. "$(dirname "$0")/lib.sh"

form() { $CC --version && $CXX --version; }

compare 0
asked 0
