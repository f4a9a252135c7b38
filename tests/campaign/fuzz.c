/*
 * The readers of launcher and shim, one after the other on many inputs in one process; built with sanitizers.
 *
 * Standard input: cases of target (1 byte), length (4 bytes, little endian), bytes. Standard output: one line a case,
 * flushed, so that the last one tells which case ended the process.
 *
 * usage: fuzz DIRECTORY    an empty directory that becomes the working directory
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "asked.h"
#include "shim.h"

static void put(const char *path, const char *data, size_t length) {
    FILE *file = fopen(path, "wb");

    if (file == NULL || fwrite(data, 1, length, file) != length || fclose(file) != 0)
        exit(3);
}

static void free_words(char **words) {
    if (words != NULL && words[0] != NULL)
        free(words[0]); /* all of them lie in one block */
    free(words);
}

static void options(const char *text) {
    char **words = unquoted_options(text);

    for (char **word = words; *word != NULL; word++)
        for (const char *at = *word;; at++) {
            printf("%02x", (unsigned char)*at);
            if (*at == '\0')
                break;
        }
    printf(" %d", is_optimised(words));
    free_words(words);
}

static void toml(const char *data, size_t length) {
    static const char *const names[] = {"mode", "cc", "opt", "isa", "profile", "budget", "cache_dir", "include", "x"};
    struct settings settings;

    put("gccllm.toml", data, length);
    load_settings(&settings);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *value = setting(&settings, names[i]);

        printf("%c", value == NULL ? '-' : '+');
        if (value != NULL && (strcmp(names[i], "cc") == 0 || strcmp(names[i], "cache_dir") == 0))
            abort(); /* a project may not set it */
        free(value);
    }
    struct blake2b hash;
    char hex[BLAKE2B_HEX + 1];

    blake2b_start(&hash);
    add_circumstances(&hash, &settings);
    blake2b_end(&hash, hex);
    printf(" %d", (int)mode_of(&settings));
    if (mode_of(&settings) == RECORD)
        abort();
    free(settings.project.data);
    free(settings.project_directory);
    free(settings.user.data);
    remove("gccllm.toml");
}

static void unit_entry(const char *data, size_t length) {
    struct unit unit = {.store = (char[]){"."}, .key = "ab"};
    struct bytes spliced = {NULL, 0};

    put("units/ab/ab", data, length);
    printf("%d %zu", (int)look_up(&unit, &spliced), spliced.length);
    remove("units/ab/ab");
}

static void response(const char *data, size_t length) {
    struct asked asked = {0};

    put("words", data, length);
    see_word(&asked, "@words", 1);
    printf("%d %d", asked.inputs, asked.level);
}

int main(int argc, char **argv) {
    unsigned char head[5];
    char *data;

    if (argc != 2 || chdir(argv[1]) != 0)
        return 3;
    while (fread(head, 1, sizeof(head), stdin) == sizeof(head)) {
        size_t length = head[1] | (size_t)head[2] << 8 | (size_t)head[3] << 16 | (size_t)head[4] << 24;

        if ((data = malloc(length + 1)) == NULL || fread(data, 1, length, stdin) != length)
            return 3;
        data[length] = '\0';
        struct bytes text = {data, length};

        switch (head[0]) {
        case 0:
            options(data);
            break;
        case 1:
            toml(data, length);
            break;
        case 2:
            unit_entry(data, length);
            break;
        case 3:
            response(data, length);
            break;
        case 4:
            printf("%d%d%d", is_gcc_output(text), is_slim_lto(text), has_loop(text));
            break;
        case 5: {
            char **words = split(data, '\x1f');

            printf("%d", words[0] != NULL);
            free_words(words);
        }
        }
        putchar('\n');
        fflush(stdout);
        free(data);
    }
    return 0;
}
