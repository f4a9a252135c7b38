#!/bin/sh
# -B with an assembler of the user's: theirs wins.
. "$(dirname "$0")/lib.sh"

form() { mkdir b && printf '#!/bin/sh\necho user >&2\nexec as "$@"\n' >b/as && chmod +x b/as && $CC -O2 -Bb/ -c loop.c; }

compare 0
asked 0
