#!/bin/sh
# -dumpversion and its kin.
. "$(dirname "$0")/lib.sh"

form() { $CC -dumpversion && $CC -dumpfullversion && $CC -dumpmachine && $CC -dumpspecs; }

compare 0
asked 0
