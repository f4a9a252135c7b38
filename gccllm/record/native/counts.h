/*
 * What is done in a child that borrows the program's memory but has a table of descriptors of its own, so that the
 * program never sees a descriptor that is ours: reading what /proc says of the program, writing the counts.
 */
#pragma once

#include "recorder.h"
#include "text.h"

/* Names of `enum word`, in its order; the first has none. */
static const char word_names[] = "captured\0budget\0busy\0bytes\0clone\0fault\0file\0killed\0maps\0memory\0pages\0seccomp\0"
                                 "shared\0syscall\0timer\0borrowed\0";

/* Run function(state) in such a child, and wait. 0 when there was no child. */
static int borrowing(struct state *state, void (*function)(void *)) {
    long child = clone_to(CLONE_VM | CLONE_VFORK | CLONE_UNTRACED, state->stack + COUNTS_STACK, function, state);

    if (child < 0)
        return 0;
    while (call4(SYS_wait4, child, 0, __WALL, 0) == -EINTR)
        ;
    return 1;
}

/* --- settings ------------------------------------------------------------------------------------ */

static void set(struct state *state, const char *variable) {
    const char *value;

    if ((value = after(variable, "GCCLLM_RECORD_DIR=")) != NULL && value[0] == '/' && length_of(value) < MOST_PATH)
        copy(state->directory, value, length_of(value) + 1);
    else if ((value = after(variable, "GCCLLM_RECORD_CALLS=")) != NULL)
        state->most_calls = number_of(value, state->most_calls);
    else if ((value = after(variable, "GCCLLM_RECORD_BYTES=")) != NULL)
        state->most_bytes = number_of(value, state->most_bytes);
    else if ((value = after(variable, "GCCLLM_RECORD_CPU=")) != NULL)
        state->most_percent = number_of(value, state->most_percent);
}

static int is_plain_process(void) {
    u64 pair[2];
    int file = open_in_child("/proc/self/auxv", 0), is_plain = 0;

    if (file < 0)
        return 0;
    while (call3(SYS_read, file, pair, sizeof(pair)) == sizeof(pair) && pair[0] != 0)
        if (pair[0] == AT_SECURE)
            is_plain = pair[1] == 0;
    call1(SYS_close, file);
    return is_plain;
}

/* The environment that the program was started with, by whatever C library. Fills `directory` when there is to be a
 * recording. */
static void read_settings(void *argument) {
    struct state *state = argument;
    char chunk[1024], variable[MOST_PATH + 64];
    u64 length = 0;
    long got;
    int file;

    if (!is_plain_process() || (file = open_in_child("/proc/self/environ", 0)) < 0)
        return;
    while ((got = call3(SYS_read, file, chunk, sizeof(chunk))) > 0)
        for (long i = 0; i < got; i++) {
            if (length < sizeof(variable))
                variable[length++] = chunk[i];
            if (chunk[i] != '\0')
                continue;
            if (variable[length - 1] == '\0')
                set(state, variable);
            length = 0;
        }
    call1(SYS_close, file);
}

/* The second word of /proc/self/statm: resident pages. */
static void read_resident(void *argument) {
    struct state *state = argument;
    char text[128];
    int file = open_in_child("/proc/self/statm", 0);
    long got = file < 0 ? 0 : call3(SYS_read, file, text, sizeof(text) - 1);
    u64 first = 0, second;

    if (file >= 0)
        call1(SYS_close, file);
    text[got > 0 ? got : 0] = '\0';
    while (text[first] != '\0' && text[first] != ' ')
        first++;
    for (second = first + 1; text[first] != '\0' && text[second] != ' ' && text[second] != '\0'; second++)
        ;
    if (text[first] == '\0')
        return;
    text[second] = '\0';
    state->resident = number_of(text + first + 1, state->resident);
}

/* --- counts -------------------------------------------------------------------------------------- */

struct writer {
    int file, is_whole;
    u32 used;
    char buffer[4096];
};

static void write_text(struct writer *to, const char *text, u64 length) {
    if (to->used + length > sizeof(to->buffer)) {
        to->is_whole = to->is_whole && write_all(to->file, to->buffer, to->used);
        to->used = 0;
    }
    if (length > sizeof(to->buffer)) {
        to->is_whole = to->is_whole && write_all(to->file, text, length);
        return;
    }
    copy(to->buffer + to->used, text, length);
    to->used += (u32)length;
}

static void write_number(struct writer *to, char before, u64 value) {
    char text[32] = {before};

    write_text(to, text, (u64)(put_number(text + 1, value, 10) - text));
}

/* KEY NAME CALLS CAPTURED WORD=COUNT... */
static void write_line(struct writer *to, const struct function *row) {
    const struct descriptor *of = row->of;
    const char *name = word_names;
    u64 since = (u64)(of->started - of->countdown);

    write_text(to, of->key, 64);
    write_text(to, " ", 1);
    write_text(to, of->name, length_of(of->name));
    write_number(to, ' ', of->calls + since);
    write_number(to, ' ', row->captured);
    for (int word = 0; word < WORDS; word++, name += length_of(name) + 1) {
        if (word == CAPTURED || row->dropped[word] == 0)
            continue;
        write_text(to, " ", 1);
        write_text(to, name, length_of(name));
        write_number(to, '=', row->dropped[word]);
    }
    write_text(to, "\n", 1);
}

/* DIRECTORY/PID-START-IMAGE.EXTENSION, with a dot before PID as long as it is not whole. */
static char *put_file(char *at, const struct state *state, u64 pid, const char *before, const char *extension) {
    at = put(put(at, state->directory), before);
    at = put_number(at, pid, 10);
    *at++ = '-';
    at = put_number(at, state->start, 16);
    *at++ = '-';
    at = put(put_number(at, (u64)entry, 16), extension);
    *at = '\0';
    return at;
}

static void write_counts(void *argument) {
    const struct state *state = argument;
    char path[MOST_PATH + MOST_NAME], temporary[MOST_PATH + MOST_NAME];
    struct writer to;

    put_file(path, state, state->own.pid, "/", ".counts");
    put_file(temporary, state, state->own.pid, "/.", ".counts");
    to.file = open_in_child(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW);
    to.is_whole = to.file >= 0;
    to.used = 0;
    for (u32 i = 0; i < state->functions && to.is_whole; i++)
        write_line(&to, &state->table[i]);
    to.is_whole = to.is_whole && write_all(to.file, to.buffer, to.used) && call1(SYS_close, to.file) == 0 &&
                  call2(SYS_rename, temporary, path) == 0;
    if (!to.is_whole && to.file >= 0)
        call1(SYS_unlink, temporary);
}
