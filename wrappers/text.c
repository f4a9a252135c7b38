/* Cheap looks at a unit's text and options, before anything is started. See shim.h. */
#define _GNU_SOURCE
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "asked.h"
#include "shim.h"

enum { LABEL_BITS = 1 << 16, NAME_BITS = 1 << 20 };

static int contains(struct bytes text, const char *needle) {
    return memmem(text.data, text.length, needle, strlen(needle)) != NULL;
}

/* Every unit of gcc's front ends ends in its .ident (but for -fno-ident: left alone). Hand-written assembly
 * has none. */
int is_gcc_output(struct bytes text) { return contains(text, "\t.ident\t\"GCC: ("); }

int is_lto_link(struct bytes text) { return contains(text, "\t.file\t\"<artificial>\"\n"); }

/* Functions with __attribute__((hot)). */
int has_hot_section(struct bytes text) { return contains(text, "\t.section\t.text.hot"); }

int is_slim_lto(struct bytes text) { return contains(text, "\t.comm\t__gnu_lto_slim"); }

/* Does the last -O option ask for speed? Same rule as the launcher's, but for -O3 and -Ofast. */
int is_optimised(char *const *options) {
    int is = 0;

    for (; *options != NULL; options++) {
        const char *option = *options;

        if (takes_argument(option) && options[1] != NULL)
            options++;
        else if (option[0] == '-' && option[1] == 'O')
            is = strchr("0gsz", option[2]) == NULL || option[2] == '\0';
    }
    return is;
}

/* The words of COLLECT_GCC_OPTIONS: each in single quotes, a quote inside as '\''. */
char **unquoted_options(const char *quoted) {
    size_t length = strlen(quoted);
    char **words = calloc(length / 2 + 2, sizeof(*words));
    char *text = malloc(length + 1);
    size_t count = 0;

    if (words == NULL || text == NULL)
        return NULL;
    while (*quoted != '\0') {
        int is_quoted = 0;

        quoted += strspn(quoted, " ");
        if (*quoted == '\0')
            break;
        words[count++] = text;
        for (; *quoted != '\0' && (is_quoted || *quoted != ' '); quoted++) {
            if (*quoted == '\'')
                is_quoted = !is_quoted;
            else if (*quoted == '\\' && !is_quoted && quoted[1] != '\0')
                *text++ = *++quoted;
            else
                *text++ = *quoted;
        }
        *text++ = '\0';
    }
    return words;
}

char **split(const char *text, char separator) {
    size_t count = 1;
    char **words;
    char *copy;

    if (text == NULL)
        return calloc(1, sizeof(*words));
    for (const char *at = text; *at != '\0'; at++)
        count += *at == separator;
    words = calloc(count + 1, sizeof(*words));
    copy = strdup(text);
    if (words == NULL || copy == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        words[i] = copy;
        copy = strchrnul(copy, separator);
        *copy++ = '\0';
    }
    return words;
}

static size_t symbol_length(const char *at, const char *end) {
    const char *start = at;

    while (at < end && (isalnum((unsigned char)*at) || *at == '.' || *at == '_' || *at == '$'))
        at++;
    return (size_t)(at - start);
}

static uint32_t hash_of(const char *name, size_t length) {
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    return hash ^ hash >> 16;
}

/*
 * Is there a jump to a label that the same function has defined before, or a call or jump to the function
 * itself? One pass, a line at a time. Labels seen are bits of a small table, so an accident of hashing can
 * say yes for no; that costs a look by the engine, no more.
 */
int has_loop(struct bytes text) {
    static uint8_t seen[LABEL_BITS / 8];
    const char *end = text.data + text.length;
    const char *function = "";
    size_t function_length = 0;

    for (const char *line = text.data; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        const char *next = stop == NULL ? end : stop + 1;
        size_t length;

        stop = stop == NULL ? end : stop;
        if (line < stop && *line == '\t') {
            const char *word = line + 1;
            size_t size = symbol_length(word, stop);
            const char *operand = word + size;
            int is_call = size >= 4 && memcmp(word, "call", 4) == 0;

            if (size > 0 && (*word == 'j' || is_call || memcmp(word, "loop", size < 4 ? size : 4) == 0)) {
                while (operand < stop && (*operand == ' ' || *operand == '\t'))
                    operand++;
                length = symbol_length(operand, stop);
                uint32_t bit = hash_of(operand, length) % LABEL_BITS;

                if (!is_call && length > 2 && memcmp(operand, ".L", 2) == 0 &&
                    (seen[bit / 8] & 1 << bit % 8) != 0)
                    return 1;
                if (length > 0 && length == function_length && memcmp(operand, function, length) == 0)
                    return 1;
            }
        } else if ((length = symbol_length(line, stop)) > 0 && line + length < stop && line[length] == ':') {
            if (length > 2 && memcmp(line, ".L", 2) == 0) {
                uint32_t bit = hash_of(line, length) % LABEL_BITS;

                seen[bit / 8] = (uint8_t)(seen[bit / 8] | 1 << bit % 8);
            } else {
                function = line;
                function_length = length;
                memset(seen, 0, sizeof(seen));
            }
        }
        line = next;
    }
    return 0;
}

/*
 * Does the text define a function that the profile names? Whatever stands in quotes there is taken for a
 * name: first as a bit of a small table, so that a unit of many functions does not search the profile for
 * each.
 */
int defines_any_of(struct bytes text, struct bytes profile) {
    static uint8_t named[NAME_BITS / 8];
    const char *end = profile.data + profile.length;
    const char *at = profile.data;

    while (at != NULL && (at = memchr(at, '"', (size_t)(end - at))) != NULL) {
        size_t length = symbol_length(++at, end);

        if (length > 0 && at + length < end && at[length] == '"') {
            uint32_t bit = hash_of(at, length) % NAME_BITS;

            named[bit / 8] = (uint8_t)(named[bit / 8] | 1 << bit % 8);
        }
    }
    end = text.data + text.length;
    for (at = text.data; at != NULL && (at = memmem(at, (size_t)(end - at), "\t.type\t", 7)) != NULL;) {
        size_t length = symbol_length(at += 7, end);
        uint32_t bit = hash_of(at, length) % NAME_BITS;

        if (length > 0 && (named[bit / 8] & 1 << bit % 8) != 0) {
            char *quoted = formatted("\"%.*s\"", (int)length, at);
            int is_named = quoted == NULL || contains(profile, quoted);

            free(quoted);
            if (is_named)
                return 1;
        }
    }
    return 0;
}
