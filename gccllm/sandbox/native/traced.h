/*
 * Library functions that note which bytes they name, for traced runs; and the table of all imports.
 *
 * A range is what the function's contract lets it touch on these arguments, not what its vector code reads
 * beyond that: strcmp reads up to and with the first difference, memchr up to and with the match. Copies between places
 * that overlap trap, where C leaves open what they do. Names in brackets are never the macros that C23 may have of them.
 */
#pragma once
#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct log_entry {
    uint32_t site, length;
    uint64_t address;
};

/* Running over the end of the log faults on the page behind it: that is how an overflow is noticed. */
static void note(uint32_t site, const void *at, size_t n) {
    struct log_entry **next = (struct log_entry **)SLOT_LOG;
    if (n == 0)
        return;
    **next = (struct log_entry){site, n > UINT32_MAX ? UINT32_MAX : (uint32_t)n, (uint64_t)at};
    ++*next;
}
static void note_read(const void *at, size_t n) { note(SITE_READ, at, n); }
static void note_write(const void *at, size_t n) { note(SITE_WRITE, at, n); }
static size_t bounded(const char *s, size_t n) {
    size_t used = strnlen(s, n);
    return used < n ? used + 1 : n;
}
static size_t match(const void *base, const void *found, size_t all) {
    return found ? (size_t)((const char *)found - (const char *)base) + 1 : all;
}
/* Bytes of a and b that a comparison of at most n characters looks at. */
static size_t compared(const char *a, const char *b, size_t n, int fold) {
    size_t i = 0;
    for (; i < n; i++) {
        int x = (unsigned char)a[i], y = (unsigned char)b[i];
        if (fold ? tolower(x) != tolower(y) : x != y)
            return i + 1;
        if (!x)
            return i + 1;
    }
    return n;
}
#define TRACED(type, name, ...) static type gccllm_traced_##name(__VA_ARGS__)

static void must_be_apart(const void *a, size_t n, const void *b, size_t m) {
    if (a != b && (uint64_t)a < (uint64_t)b + m && (uint64_t)b < (uint64_t)a + n)
        __builtin_trap();
}
TRACED(void *, memcpy, void *d, const void *s, size_t n) {
    must_be_apart(d, n, s, n);
    note_read(s, n);
    note_write(d, n);
    return memcpy(d, s, n);
}
TRACED(void *, memmove, void *d, const void *s, size_t n) {
    note_read(s, n);
    note_write(d, n);
    return memmove(d, s, n);
}
TRACED(void *, mempcpy, void *d, const void *s, size_t n) {
    must_be_apart(d, n, s, n);
    note_read(s, n);
    note_write(d, n);
    return mempcpy(d, s, n);
}
TRACED(void *, memset, void *d, int c, size_t n) {
    note_write(d, n);
    return memset(d, c, n);
}
TRACED(int, memcmp, const void *a, const void *b, size_t n) {
    note_read(a, n);
    note_read(b, n);
    return memcmp(a, b, n);
}
TRACED(int, bcmp, const void *a, const void *b, size_t n) {
    note_read(a, n);
    note_read(b, n);
    return bcmp(a, b, n);
}
TRACED(void *, memchr, const void *s, int c, size_t n) {
    void *r = (memchr)(s, c, n);
    note_read(s, match(s, r, n));
    return r;
}
TRACED(void *, memrchr, const void *s, int c, size_t n) {
    note_read(s, n);
    return memrchr(s, c, n);
}
TRACED(void *, rawmemchr, const void *s, int c) {
    void *r = rawmemchr(s, c);
    note_read(s, match(s, r, 0));
    return r;
}
TRACED(void *, memmem, const void *h, size_t n, const void *s, size_t m) {
    note_read(h, n);
    note_read(s, m);
    return memmem(h, n, s, m);
}
TRACED(size_t, strlen, const char *s) {
    size_t n = strlen(s);
    note_read(s, n + 1);
    return n;
}
TRACED(size_t, strnlen, const char *s, size_t n) {
    note_read(s, bounded(s, n));
    return strnlen(s, n);
}
TRACED(char *, strchr, const char *s, int c) {
    char *r = (strchr)(s, c);
    note_read(s, r ? match(s, r, 0) : strlen(s) + 1);
    return r;
}
TRACED(char *, strchrnul, const char *s, int c) {
    char *r = strchrnul(s, c);
    note_read(s, match(s, r, 0));
    return r;
}
TRACED(char *, strrchr, const char *s, int c) {
    note_read(s, strlen(s) + 1);
    return (strrchr)(s, c);
}
TRACED(int, strcmp, const char *a, const char *b) {
    size_t n = compared(a, b, SIZE_MAX, 0);
    note_read(a, n);
    note_read(b, n);
    return strcmp(a, b);
}
TRACED(int, strncmp, const char *a, const char *b, size_t m) {
    size_t n = compared(a, b, m, 0);
    note_read(a, n);
    note_read(b, n);
    return strncmp(a, b, m);
}
TRACED(int, strcasecmp, const char *a, const char *b) {
    size_t n = compared(a, b, SIZE_MAX, 1);
    note_read(a, n);
    note_read(b, n);
    return strcasecmp(a, b);
}
TRACED(int, strncasecmp, const char *a, const char *b, size_t m) {
    size_t n = compared(a, b, m, 1);
    note_read(a, n);
    note_read(b, n);
    return strncasecmp(a, b, m);
}
static void note_copy(char *d, const char *s, size_t n) {
    must_be_apart(d, n, s, n);
    note_read(s, n);
    note_write(d, n);
}
TRACED(char *, strcpy, char *d, const char *s) {
    note_copy(d, s, strlen(s) + 1);
    return strcpy(d, s);
}
TRACED(char *, stpcpy, char *d, const char *s) {
    note_copy(d, s, strlen(s) + 1);
    return stpcpy(d, s);
}
TRACED(char *, strncpy, char *d, const char *s, size_t n) {
    must_be_apart(d, n, s, bounded(s, n));
    note_read(s, bounded(s, n));
    note_write(d, n);
    return strncpy(d, s, n);
}
TRACED(char *, strcat, char *d, const char *s) {
    size_t n = strlen(d);
    must_be_apart(d, n + 1, s, strlen(s) + 1);
    note_read(d, n + 1);
    note_copy(d + n, s, strlen(s) + 1);
    return strcat(d, s);
}
TRACED(char *, strncat, char *d, const char *s, size_t m) {
    size_t n = strlen(d);
    must_be_apart(d, n + strnlen(s, m) + 1, s, bounded(s, m));
    note_read(d, n + 1);
    note_read(s, bounded(s, m));
    note_write(d + n, strnlen(s, m) + 1);
    return strncat(d, s, m);
}
TRACED(size_t, strspn, const char *s, const char *set) {
    size_t n = strspn(s, set);
    note_read(s, n + 1);
    note_read(set, strlen(set) + 1);
    return n;
}
TRACED(size_t, strcspn, const char *s, const char *set) {
    size_t n = strcspn(s, set);
    note_read(s, n + 1);
    note_read(set, strlen(set) + 1);
    return n;
}
TRACED(char *, strpbrk, const char *s, const char *set) {
    note_read(s, strcspn(s, set) + 1);
    note_read(set, strlen(set) + 1);
    return (strpbrk)(s, set);
}
TRACED(char *, strstr, const char *h, const char *s) {
    note_read(h, strlen(h) + 1);
    note_read(s, strlen(s) + 1);
    return (strstr)(h, s);
}
void *__memcpy_chk(void *, const void *, size_t, size_t),
    *__memmove_chk(void *, const void *, size_t, size_t);
void *__memset_chk(void *, int, size_t, size_t);
char *__strcpy_chk(char *, const char *, size_t), *__strcat_chk(char *, const char *, size_t);
char *__strncpy_chk(char *, const char *, size_t, size_t);
/* A buffer too small ends the program in the C library; here it faults. */
#define FIT(need, have)                                                                                      \
    do {                                                                                                     \
        if ((need) > (have))                                                                                 \
            __builtin_trap();                                                                                \
    } while (0)
TRACED(void *, __memcpy_chk, void *d, const void *s, size_t n, size_t have) {
    FIT(n, have);
    return gccllm_traced_memcpy(d, s, n);
}
TRACED(void *, __memmove_chk, void *d, const void *s, size_t n, size_t have) {
    FIT(n, have);
    return gccllm_traced_memmove(d, s, n);
}
TRACED(void *, __memset_chk, void *d, int c, size_t n, size_t have) {
    FIT(n, have);
    return gccllm_traced_memset(d, c, n);
}
TRACED(char *, __strcpy_chk, char *d, const char *s, size_t have) {
    FIT(strlen(s) + 1, have);
    return gccllm_traced_strcpy(d, s);
}
TRACED(char *, __strcat_chk, char *d, const char *s, size_t have) {
    FIT(strlen(d) + strlen(s) + 1, have);
    return gccllm_traced_strcat(d, s);
}
TRACED(char *, __strncpy_chk, char *d, const char *s, size_t n, size_t have) {
    FIT(n, have);
    return gccllm_traced_strncpy(d, s, n);
}

struct import {
    const char *name;
    void *address;
};
static const struct import imports[] = {
#define X(name) {#name, (void *)name},
#define T(name) {"gccllm_traced_" #name, (void *)gccllm_traced_##name},
#include "imports.h"
#undef X
#undef T
    {"gccllm_log_call", replay_log_call},
    {"gccllm_poison_return", replay_poison},
};
