#!/bin/sh
# gcc-llm -E FILE without a compiler: the probe of CC="ccache cc"-like detections.
. "$(dirname "$0")/lib.sh"

form() { $CC -E main.c | tail -2 && $CC -xc -E -v /dev/null -o /dev/null; }

compare 0
asked 0
