/*
 * What a gcc command line asks for: is there an input, will code be generated, at which level.
 */
#ifndef GCCLLM_ASKED_H
#define GCCLLM_ASKED_H

#include <stddef.h>

/* What the command line asks for. */
struct asked {
    int inputs;
    int is_probe; /* no assembler will run: preprocessing, versions, dependencies only */
    int level;    /* of the last -O option: 1, 2, 3 (also -Ofast and above); 0 for none, -O0, -Og, -Os, -Oz */
    int place;    /* index in argv of that option, or of the response file that holds it */
    int skip;     /* the next word is the last option's argument */
    int files;    /* response files looked into so far */
};

/* Account for argv[place]; starts from a zeroed struct, words in order. Response files are looked into. */
void see_word(struct asked *, const char *word, int place);

/* Is the word after this option its argument? */
int takes_argument(const char *option);

#endif
