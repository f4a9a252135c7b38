#!/bin/sh
# Nothing at all.
. "$(dirname "$0")/lib.sh"

form() { $CC; }

compare 1
asked 0
