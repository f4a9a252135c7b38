#!/bin/sh
# -fopenmp outlines functions of its own.
. "$(dirname "$0")/lib.sh"

form() {
    echo 'int f(int * a, int n) { int s = 0;
    #pragma omp parallel for reduction(+:s)
    for (int i = 0; i < n; i++) s += a[i]; return s; }' >o.c && $CC -O2 -fopenmp -c o.c
}

compare 0
asked 1
labelled
