#!/bin/sh
# -O1 and -O2 mean -O3, and no function relies on more of another than the ABI: the object is that of gcc with these.
. "$(dirname "$0")/lib.sh"

unset GCCLLM_OPT
plain() { CC=gcc; LAST="-O3 -fno-ipa-ra -fno-ipa-stack-alignment"; run plain; }
ours() { CC=$LLM; LAST=; run "$1"; }
form() {
    for o in -O -O1 -O2 '-O0 -O2' '-Os -O1' --optimize=2; do $CC $o $LAST -c loop.c -o "x$o.o" || return 1; done
    printf -- '-O2 -c' >args && $CC @args $LAST loop.c -o response.o && rm args
}

compare 0
asked 7
labelled
