#!/bin/sh
# -v without a source, as configure scripts ask.
. "$(dirname "$0")/lib.sh"

form() { $CC -v && $CC -V; $CC -qversion; }

compare 1
asked 0
