/*
 * The chooser: linked into every image that has a function with a choice of bodies (GCCLLM_MODE=trial). It
 * runs before the program's own constructors and puts into each choice's slot the body that the environment
 * names:
 *
 *     GCCLLM_TRIAL=<id>=<digit>,<id>=<digit>,...      what is not named runs gcc's own body, which is number
 * 0
 *
 * Covers programs whose C library gives constructors the arguments of main, as glibc does; others run gcc's
 * bodies. So do set-user-id programs.
 */
#include "../../record/native/text.h"

enum { MOST_BODIES = 12, ID_LENGTH = 16, AT_NULL = 0 };

/* As trial/text.py lays it out, one a function, in the section gccllm_trial. */
struct choice {
    const u8 *slot;
    const char *id;
    u64 count;
    const u8 *bodies[MOST_BODIES + 1];
};

extern struct choice __start_gccllm_trial[], __stop_gccllm_trial[];

void begin_trial(int count, char **arguments, char **environment) __attribute__((used));

static void choose(const char *words) {
    for (;;) {
        if (length_of(words) < ID_LENGTH + 2)
            return;
        for (struct choice *one = __start_gccllm_trial; one < __stop_gccllm_trial; one++) {
            u64 body = (u64)(words[ID_LENGTH + 1] - '0'), same = 0;

            while (one->id != NULL && same < ID_LENGTH && one->id[same] == words[same])
                same++;
            if (same == ID_LENGTH && body <= one->count)
                one->slot = one->bodies[body];
        }
        words += ID_LENGTH + 2;
        if (*words++ != ',')
            return;
    }
}

void begin_trial(int count, char **arguments, char **environment) {
    const char *choices = NULL, *value;
    u64 *auxiliary;

    (void)count, (void)arguments;
    if (environment == NULL)
        return;
    for (; *environment != NULL; environment++)
        if ((value = after(*environment, "GCCLLM_TRIAL=")) != NULL)
            choices = value;
    for (auxiliary = (u64 *)(environment + 1); auxiliary[0] != AT_NULL; auxiliary += 2)
        if (auxiliary[0] == AT_SECURE && auxiliary[1] != 0)
            return;
    if (choices != NULL)
        choose(choices);
}
