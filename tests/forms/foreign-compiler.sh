#!/bin/sh
# A gcc for another machine is run without us.
. "$(dirname "$0")/lib.sh"

mkdir cross && printf '#!/bin/sh\nenv | grep ^COMPILER_PATH\nexec gcc "$@"\n' >cross/aarch64-linux-gnu-gcc && chmod +x cross/*
export PATH="$top/cross:$PATH"
plain() { CC=aarch64-linux-gnu-gcc run plain; }
ours() { CC="$LLM aarch64-linux-gnu-gcc" run "$1"; }
form() { $CC -O2 -c loop.c; }

compare 0
asked 0
