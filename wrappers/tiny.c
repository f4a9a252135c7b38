/*
 * tiny: the part of the C library that the launcher uses, and a start without the C library's own.
 *
 * The C library asks the processor for its features and caches before main: dozens of cpuid instructions,
 * each of which leaves the guest on a virtual machine. That was 0.55 ms of CPU in each start where this was
 * measured, half of what we may cost a compile in all. The shim, which starts only when an assembler does, is
 * an ordinary program.
 *
 * Functions have their standard meaning, except: free does nothing (the launcher ends in execve), malloc
 * serves from one block and then from the kernel, formats know %s %.*s %d %zu %llx, and errno is kept only
 * for read's EINTR. x86-64 Linux. Compiled without stack protector or fortified headers, linked with
 * -nostdlib.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FIRST_BYTES = 1 << 16, LINE_BYTES = 1 << 13, PATH_BYTES = 1 << 12 };

int main(int, char **);

char **environ;
static int error;

int *__errno_location(void) { return &error; }

static long call(long number, long a, long b, long c) {
    long result;

    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    if (result < 0 && result > -4096) {
        error = (int)-result;
        return -1;
    }
    return result;
}

/* The kernel leaves argc, argv and the environment on the stack. */
__asm__(".globl _start\n"
        "_start:\n"
        "	xorl	%ebp, %ebp\n"
        "	movq	%rsp, %rdi\n"
        "	andq	$-16, %rsp\n"
        "	call	tiny_start\n");

__attribute__((noreturn, used)) void tiny_start(long *stack) {
    char **argv = (char **)(stack + 1);

    environ = argv + stack[0] + 1;
    for (long status = main((int)stack[0], argv);;)
        call(SYS_exit_group, status, 0, 0);
}

/* --- system calls ------------------------------------------------------------------------------- */

int access(const char *path, int mode) { return (int)call(SYS_access, (long)path, mode, 0); }
int close(int descriptor) { return (int)call(SYS_close, descriptor, 0, 0); }
int fstat(int descriptor, struct stat *status) { return (int)call(SYS_fstat, descriptor, (long)status, 0); }
int lstat(const char *path, struct stat *status) { return (int)call(SYS_lstat, (long)path, (long)status, 0); }
int stat(const char *path, struct stat *status) { return (int)call(SYS_stat, (long)path, (long)status, 0); }
uid_t geteuid(void) { return (uid_t)call(SYS_geteuid, 0, 0, 0); }
int open(const char *path, int flags, ...) { return (int)call(SYS_open, (long)path, flags, 0); }
ssize_t read(int descriptor, void *data, size_t length) {
    return call(SYS_read, descriptor, (long)data, (long)length);
}
ssize_t write(int descriptor, const void *data, size_t length) {
    return call(SYS_write, descriptor, (long)data, (long)length);
}
char *getcwd(char *path, size_t size) {
    return call(SYS_getcwd, (long)path, (long)size, 0) < 0 ? NULL : path;
}

ssize_t readlink(const char *path, char *target, size_t size) {
    return call(SYS_readlink, (long)path, (long)target, (long)size);
}

int execve(const char *path, char *const *words, char *const *variables) {
    return (int)call(SYS_execve, (long)path, (long)words, (long)variables);
}

/* The kernel knows where an open file is. */
char *realpath(const char *path, char *resolved) {
    char link[64];
    char *target = resolved != NULL ? resolved : malloc(PATH_BYTES);
    int descriptor = open(path, O_PATH | O_CLOEXEC);
    ssize_t length = -1;

    if (descriptor >= 0 && target != NULL && snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor) > 0)
        length = readlink(link, target, PATH_BYTES - 1);
    if (descriptor >= 0)
        close(descriptor);
    if (length <= 0)
        return NULL;
    target[length] = '\0';
    return target;
}

/* --- memory: each block behind its size ---------------------------------------------------------- */

void *malloc(size_t size) {
    static _Alignas(16) char first[FIRST_BYTES];
    static size_t used;
    size_t whole = (size + 31) & ~(size_t)15;
    size_t *block;

    if (whole < size)
        return NULL;
    if (whole <= FIRST_BYTES - used) {
        block = (size_t *)(void *)(first + used);
        used += whole;
    } else {
        long result;
        register long flags __asm__("r10") = MAP_PRIVATE | MAP_ANONYMOUS;
        register long descriptor __asm__("r8") = -1;
        register long offset __asm__("r9") = 0;

        __asm__ volatile("syscall"
                         : "=a"(result)
                         : "a"(SYS_mmap), "D"(0), "S"(whole), "d"(PROT_READ | PROT_WRITE), "r"(flags),
                           "r"(descriptor), "r"(offset)
                         : "rcx", "r11", "memory");
        if (result < 0 && result > -4096)
            return NULL;
        block = (size_t *)result;
    }
    *block = size;
    return (char *)block + 16;
}

void free(void *block) { (void)block; }

/* Fresh blocks are zero, and none is used twice. */
void *calloc(size_t count, size_t size) {
    return size != 0 && count > SIZE_MAX / size ? NULL : malloc(count * size);
}

void *realloc(void *old, size_t size) {
    void *fresh = malloc(size);

    if (old != NULL && fresh != NULL) {
        size_t held = *(size_t *)(void *)((char *)old - 16);

        memcpy(fresh, old, held < size ? held : size);
    }
    return fresh;
}

/* --- strings ------------------------------------------------------------------------------------- */

void *memcpy(void *restrict to, const void *restrict from, size_t length) {
    void *next = to;

    __asm__ volatile("rep movsb" : "+D"(next), "+S"(from), "+c"(length) : : "memory");
    return to;
}

void *memset(void *to, int byte, size_t length) {
    void *next = to;

    __asm__ volatile("rep stosb" : "+D"(next), "+c"(length) : "a"(byte) : "memory");
    return to;
}

/* Nothing calls these two by name; the compiler may. */
int memcmp(const void *a, const void *b, size_t length) {
    const unsigned char *left = a, *right = b;

    for (; length > 0; length--, left++, right++)
        if (*left != *right)
            return *left - *right;
    return 0;
}

void *memmove(void *to, const void *from, size_t length) {
    char *target = to;

    if ((uintptr_t)to <= (uintptr_t)from || (uintptr_t)to >= (uintptr_t)from + length)
        return memcpy(to, from, length);
    while (length-- > 0)
        target[length] = ((const char *)from)[length];
    return to;
}

size_t strlen(const char *text) {
    size_t length = 0;

    while (text[length] != '\0')
        length++;
    return length;
}

int strncmp(const char *a, const char *b, size_t length) {
    for (; length > 0; length--, a++, b++)
        if (*a != *b || *a == '\0')
            return (unsigned char)*a - (unsigned char)*b;
    return 0;
}

int strcmp(const char *a, const char *b) { return strncmp(a, b, SIZE_MAX); }

char *strchrnul(const char *text, int byte) {
    while (*text != '\0' && *text != (char)byte)
        text++;
    return (char *)(uintptr_t)text;
}

/* In brackets: a C library that knows C23 has macros of these names. */
char *(strchr)(const char *text, int byte) {
    char *found = strchrnul(text, byte);

    return *found == (char)byte ? found : NULL;
}

char *(strrchr)(const char *text, int byte) {
    char *last = NULL;

    for (;; text++) {
        if (*text == (char)byte)
            last = (char *)(uintptr_t)text;
        if (*text == '\0')
            return last;
    }
}

size_t strspn(const char *text, const char *allowed) {
    size_t length = 0;

    while (text[length] != '\0' && strchr(allowed, text[length]) != NULL)
        length++;
    return length;
}

size_t strcspn(const char *text, const char *stops) {
    size_t length = 0;

    while (text[length] != '\0' && strchr(stops, text[length]) == NULL)
        length++;
    return length;
}

char *stpcpy(char *restrict to, const char *restrict from) {
    size_t length = strlen(from);

    memcpy(to, from, length + 1);
    return to + length;
}

char *strndup(const char *text, size_t most) {
    size_t length = 0;
    char *copy;

    while (length < most && text[length] != '\0')
        length++;
    if ((copy = calloc(length + 1, 1)) != NULL)
        memcpy(copy, text, length);
    return copy;
}

char *strdup(const char *text) { return strndup(text, SIZE_MAX); }

char *getenv(const char *name) {
    size_t length = strlen(name);

    for (char **each = environ; *each != NULL; each++)
        if (strncmp(*each, name, length) == 0 && (*each)[length] == '=')
            return *each + length + 1;
    return NULL;
}

/* By insertion: the tables are short. */
void qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *)) {
    char *items = base;

    for (size_t i = 1; i < count; i++)
        for (size_t k = i; k > 0 && compare(items + (k - 1) * size, items + k * size) > 0; k--)
            for (size_t byte = 0; byte < size; byte++) {
                char swapped = items[k * size + byte];

                items[k * size + byte] = items[(k - 1) * size + byte];
                items[(k - 1) * size + byte] = swapped;
            }
}

/* --- formats -------------------------------------------------------------------------------------- */

static char *digits(unsigned long long value, unsigned base, char *end) {
    *--end = '\0';
    do
        *--end = "0123456789abcdef"[value % base];
    while ((value /= base) != 0);
    return end;
}

/* As vsnprintf: writes at most size bytes with the NUL, returns what the whole would take; -1 for a format
 * not known. */
static int vformat(char *to, size_t size, const char *format, va_list arguments) {
    size_t length = 0;
    char number[32];

    for (; *format != '\0'; format++) {
        const char *piece = format;
        size_t take = 1;

        if (*format == '%') {
            if (strncmp(format, "%.*s", 4) == 0) {
                int most = va_arg(arguments, int);

                format += 3;
                piece = va_arg(arguments, const char *);
                for (take = 0; (int)take < most && piece[take] != '\0';)
                    take++;
            } else {
                if (strncmp(format, "%s", 2) == 0) {
                    format += 1;
                    piece = va_arg(arguments, const char *);
                } else if (strncmp(format, "%d", 2) == 0) {
                    format += 1;
                    piece = digits((unsigned)va_arg(arguments, int), 10, number + sizeof(number));
                } else if (strncmp(format, "%zu", 3) == 0) {
                    format += 2;
                    piece = digits(va_arg(arguments, size_t), 10, number + sizeof(number));
                } else if (strncmp(format, "%llx", 4) == 0) {
                    format += 3;
                    piece = digits(va_arg(arguments, unsigned long long), 16, number + sizeof(number));
                } else {
                    return -1;
                }
                if (piece == NULL)
                    return -1;
                take = strlen(piece);
            }
        }
        for (size_t i = 0; i < take; i++, length++)
            if (length + 1 < size)
                to[length] = piece[i];
    }
    if (size > 0)
        to[length < size ? length : size - 1] = '\0';
    return (int)length;
}

int snprintf(char *restrict to, size_t size, const char *restrict format, ...) {
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vformat(to, size, format, arguments);
    va_end(arguments);
    return length;
}

int vasprintf(char **restrict text, const char *restrict format, va_list arguments) {
    va_list again;
    int length;

    va_copy(again, arguments);
    length = vformat(NULL, 0, format, again);
    va_end(again);
    if (length < 0 || (*text = malloc((size_t)length + 1)) == NULL)
        return -1;
    return vformat(*text, (size_t)length + 1, format, arguments);
}

int dprintf(int descriptor, const char *restrict format, ...) {
    char line[LINE_BYTES];
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vformat(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (length < 0)
        return -1;
    return (int)write(descriptor, line, (size_t)length < sizeof(line) ? (size_t)length : sizeof(line) - 1);
}
