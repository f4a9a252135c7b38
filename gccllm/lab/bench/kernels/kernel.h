/*
 * What every kernel file starts with.
 *
 * A kernel file holds one function `kern` (named at compile time: -Dkern=NAME) as a user would write it, and,
 * for the harness only (HARNESS), its inputs: SIZE         the size that is timed          LEAST, MOST   the
 * sizes that are checked setup(size)  makes the inputs                run(f)        calls f on them, digests
 * what it returns FRESH        defined where a second call on the first one's output would be another problem
 *   BOUNDED      defined where no larger size than MOST makes sense
 * The words that setup uses (ints, text, output, varied, ...) are harness.c's.
 */
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HARNESS
#define kern_t __typeof__(kern)
#endif
