/* Text in a buffer that is known to be long enough. Each returns the new end; the text has no NUL until `finish`. */
#pragma once

#include "system.h"

static char *put(char *at, const char *text) {
    while (*text != '\0')
        *at++ = *text++;
    return at;
}

static char *put_number(char *at, u64 value, u32 base) {
    char digits[24];
    int count = 0;

    do {
        u32 digit = (u32)(value % base);

        digits[count++] = (char)(digit < 10 ? '0' + digit : 'a' + digit - 10);
        value /= base;
    } while (value != 0);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

static u64 length_of(const char *text) {
    u64 length = 0;

    while (text[length] != '\0')
        length++;
    return length;
}

/* A whole number; `otherwise` when the text is none. */
static u64 number_of(const char *text, u64 otherwise) {
    u64 value = 0;

    if (*text == '\0')
        return otherwise;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || value > 1ul << 40)
            return otherwise;
        value = value * 10 + (u64)(*text - '0');
    }
    return value;
}

/* What follows `name` when the text starts with it, else NULL. */
static const char *after(const char *text, const char *name) {
    while (*name != '\0')
        if (*text++ != *name++)
            return NULL;
    return text;
}
