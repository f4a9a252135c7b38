/* What a gcc command line asks for, read without gcc's option table: only what the launcher has to know. See
 * asked.h. */
#include "asked.h"

#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "shared.h"

enum { RESPONSE_NESTING = 8, RESPONSE_FILES = 256 }; /* files that name each other would never end; gcc gives up too */

/* Whole words after which no code is generated. */
static const char *const probes[] = {
    "-###",
    "-E",
    "-M",
    "-MM",
    "-dumpfullversion",
    "-dumpmachine",
    "-dumpspecs",
    "-dumpversion",
    "-fsyntax-only",
    "--dependencies",
    "--preprocess",
    "--target-help",
    "--user-dependencies",
    "--version",
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* The level that an -O option asks for: 1, 2, 3 (also -Ofast and above), or 0 for none, debugging or size. */
static int level_of(const char *option) {
    const char *value = option + 2;

    if (strncmp(option, "--optimize", 10) == 0)
        value = option + 10 + (option[10] == '=');
    if (*value == '\0')
        return 1;
    if (value[1] == '\0' && (*value == '1' || *value == '2'))
        return *value - '0';
    return strchr("0gsz", *value) == NULL ? 3 : 0;
}

int takes_argument(const char *option) { return is_among(option, with_argument, COUNT(with_argument)); }

static void see_response_file(struct asked *, const char *path, int place, int nesting);

static void see_word_nested(struct asked *asked, const char *word, int place, int nesting) {
    if (asked->skip) {
        asked->skip = 0;
    } else if (word[0] == '@' && word[1] != '\0') {
        see_response_file(asked, word + 1, place, nesting + 1);
    } else if (word[0] != '-' || word[1] == '\0') {
        asked->inputs++;
    } else if (takes_argument(word)) {
        asked->skip = 1;
    } else if (is_among(word, probes, COUNT(probes)) || strncmp(word, "--help", 6) == 0 ||
               strncmp(word, "-print-", 7) == 0 || strncmp(word, "--print-", 8) == 0) {
        asked->is_probe = 1;
    } else if (word[1] == 'O' || strcmp(word, "--optimize") == 0 || strncmp(word, "--optimize=", 11) == 0) {
        asked->level = level_of(word);
        asked->place = place;
    }
}

/* Words as gcc splits them: blanks separate, quotes of both kinds and backslashes protect. */
static void see_response_file(struct asked *asked, const char *path, int place, int nesting) {
    int is_endless = nesting > RESPONSE_NESTING || ++asked->files > RESPONSE_FILES;
    struct bytes text = is_endless ? (struct bytes){NULL, 0} : read_file(path);
    char *word = text.data == NULL ? NULL : malloc(text.length + 1);
    const char *at = text.data;

    if (word == NULL) {
        asked->inputs++; /* gcc takes an unreadable @file for a file of that name */
        free(text.data);
        return;
    }
    for (;;) {
        size_t length = 0;
        char quote = '\0';

        at += strspn(at, " \t\r\n\v\f");
        if (*at == '\0')
            break;
        for (; *at != '\0' && (quote != '\0' || strchr(" \t\r\n\v\f", *at) == NULL); at++) {
            if (*at == '\\' && at[1] != '\0')
                word[length++] = *++at;
            else if (quote != '\0' ? *at == quote : (*at == '\'' || *at == '"'))
                quote = quote == '\0' ? *at : '\0';
            else
                word[length++] = *at;
        }
        word[length] = '\0';
        see_word_nested(asked, word, place, nesting);
    }
    free(word);
    free(text.data);
}

void see_word(struct asked *asked, const char *word, int place) { see_word_nested(asked, word, place, 0); }
