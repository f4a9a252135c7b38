/*
 * Preloaded into a build: makes one operation on the store fail, or kills the process in front of it; or sets the clock.
 *
 * FAULT_ROOT   operations on files below it count: opening for writing, write, rename, mkdir, fsync, unlink
 * FAULT_FILE   a file of at least 8 bytes that all processes share: how many there were
 * FAULT_AT     the number of the one that fails; FAULT_ERRNO: how, 0 for SIGKILL
 * FAULT_CLOCK  seconds to add to the time of day
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static uint64_t *shared(void) {
    static uint64_t *counter;
    const char *path = getenv("FAULT_FILE");

    if (counter == NULL && path != NULL) {
        int descriptor = REAL(open)(path, O_RDWR | O_CLOEXEC);
        void *all = descriptor < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);

        if (descriptor >= 0)
            close(descriptor);
        counter = all == MAP_FAILED ? NULL : all;
    }
    return counter;
}

/* Is it the one that fails? errno is set then. */
static int fails(const char *path) {
    const char *root = getenv("FAULT_ROOT"), *at = getenv("FAULT_AT"), *how = getenv("FAULT_ERRNO");
    uint64_t *counter;

    if (root == NULL || path == NULL || strncmp(path, root, strlen(root)) != 0 || (counter = shared()) == NULL)
        return 0;
    if (__atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST) != (at == NULL ? 0 : strtoull(at, NULL, 10)))
        return 0;
    errno = how == NULL ? EIO : atoi(how);
    if (errno == 0)
        kill(getpid(), SIGKILL);
    return 1;
}

static int descriptor_fails(int descriptor) {
    char link[64], path[4096];
    ssize_t length;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
    if ((length = readlink(link, path, sizeof(path) - 1)) <= 0)
        return 0;
    path[length] = '\0';
    return fails(path);
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;                                 \
        va_end(more);                                                                                                  \
        return (flags & O_ACCMODE) != O_RDONLY && fails(path) ? -1 : REAL(name)(path, flags, mode);                    \
    }
OPEN(open)
OPEN(open64)

/* A failing write first writes half, as a full disk does. */
ssize_t write(int descriptor, const void *data, size_t length) {
    if (length > 1 && descriptor_fails(descriptor)) {
        int error = errno;

        (void)!REAL(write)(descriptor, data, length / 2);
        errno = error;
        return -1;
    }
    return REAL(write)(descriptor, data, length);
}

int rename(const char *from, const char *to) { return fails(to) ? -1 : REAL(rename)(from, to); }
int mkdir(const char *path, mode_t mode) { return fails(path) ? -1 : REAL(mkdir)(path, mode); }
int unlink(const char *path) { return fails(path) ? -1 : REAL(unlink)(path); }
int fsync(int descriptor) { return descriptor_fails(descriptor) ? -1 : REAL(fsync)(descriptor); }

static long long ahead(void) {
    const char *seconds = getenv("FAULT_CLOCK");

    return seconds == NULL ? 0 : atoll(seconds);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = REAL(clock_gettime)(clock, now);

    if (clock == CLOCK_REALTIME)
        now->tv_sec += ahead();
    return status;
}

time_t time(time_t *now) {
    time_t seconds = REAL(time)(NULL) + ahead();

    if (now != NULL)
        *now = seconds;
    return seconds;
}
