#!/bin/sh
# -Werror fails as gcc fails.
. "$(dirname "$0")/lib.sh"

form() { echo 'int g(int n, int m) { while (n--) ; return n; }' >w.c && $CC -O2 -Wall -Wextra -Werror -c w.c; }

compare 1
asked 0
