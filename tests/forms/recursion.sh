#!/bin/sh
# A wrapper that finds us again under its own name, as ccache's links do, is run once.
. "$(dirname "$0")/lib.sh"

mkdir wrap bin && printf '#!/bin/sh\necho wrapped\nexec gcc "$@"\n' >wrap/gcc && chmod +x wrap/gcc
plain() { PATH=$top/wrap:$PATH; CC=gcc; PATH=${PATH#*:} run plain; }
ours() { ln -sf "$LLM" bin/gcc; PATH=$top/bin:$top/wrap:$PATH CC=gcc run "$1"; }
form() { $CC -O2 -c loop.c | grep -vx wrapped; test -f loop.o; }

compare 0
asked 1
