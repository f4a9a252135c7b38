/*
 * replay: call functions of a linked image on given inputs, confined, and report what they did.
 *
 * usage: replay IMAGE        requests on descriptor 0, replies on descriptor 1 (formats: layout.py)
 *        replay --imports    the names of the library functions an image may import, one a line
 *
 * IMAGE is a static ELF executable without start-up code, linked to the address map of layout.py. Its code is
 * untrusted: it runs in a forked child under seccomp (no system call but leaving), rlimits, a CPU-time limit
 * per test, on a stack of its own between unmapped pages. The expected result of a test never enters this
 * program: it reports states and digests, and another process compares.
 *
 * Not covered: code that seeks out and overwrites this program's own memory can falsify what is reported
 * about it (the static screen and the checked build refuse such stores); timing channels; the contents of
 * memory below rsp; recorded pages that are not the test's own (pages.h).
 *
 * exit codes: 0 end of input; 2 usage; 3 the confinement is refused by the kernel; 4 the image cannot be
 * loaded; 5 the request pipe broke; 6 the image has thread-local data and this machine does not let a program set FS_BASE.
 */
#define _GNU_SOURCE
/* A checked siglongjmp asks the kernel about the signal stack, which the sandbox forbids. */
#undef _FORTIFY_SOURCE
#include "layout.h"

#include "cpu.h"
#include "traced.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

struct request {
    uint32_t magic, kind;
    uint64_t entry;
    uint32_t flags, deadline_ms, give_up_after, x87_results;
    uint64_t bytes;
};
struct reply {
    uint32_t magic, error, observations, zero;
    uint64_t log_bytes;
};
struct test {
    uint32_t bytes, arenas, stack_slots, patches, pages, zero;
    uint64_t fill, ints[6];
    uint8_t int_bytes[8], vector_bytes[8];
    uint64_t vectors[8][2];
    uint32_t mxcsr, kept, changes, spare;
};
struct patch {
    uint64_t address, bytes;
};
struct page_ref {
    uint32_t page, content, is_writable, zero;
};
struct callee {
    uint32_t stack_args;
    uint8_t ints[6], vectors[8], stack[16], rax, rdx, xmm0, xmm1, is_float, zero;
    uint64_t target;
};
struct observation {
    uint32_t status, signal;
    uint64_t fault;
    uint32_t abi, calls_made;
    uint64_t rax, rdx, xmm0[2], xmm1[2], st0[2], st1[2], memory[2], calls[2], ticks, log_start, log_end;
    uint32_t fp_flags, error;
};
_Static_assert(sizeof(struct request) == REQUEST_BYTES && sizeof(struct reply) == REPLY_BYTES, "layout");
_Static_assert(sizeof(struct test) == TEST_BYTES && sizeof(struct callee) == CALLEE_BYTES, "layout");
_Static_assert(sizeof(struct page_ref) == PAGE_REF_BYTES, "layout");
_Static_assert(sizeof(struct observation) == OBSERVATION_BYTES, "layout");
_Static_assert(sizeof(struct log_entry) == LOG_ENTRY_BYTES, "layout");

#define PENDING 0xffffffffu
/* Where this process has what moves, see layout.py. */
static uint64_t image_base, stack_base, stack_entry, arena_bases[ARENAS];
#define STACK_BASE stack_base
#define STACK_END (STACK_BASE + STACK_BYTES)
#define STACK_ENTRY stack_entry
#define LOG_END ((uint64_t)LOG_BASE + LOG_BYTES)

/* Shared between this process and the child that runs tests. */
static struct shared {
    uint64_t log_used;
    uint32_t timeouts, sandbox_failed;
    struct observation seen[MAX_TESTS];
} *shared;
static uint8_t *payload;
static const struct test *tests[MAX_TESTS];
static unsigned n_tests;
static struct callee callees[MAX_CALLEES];
static struct request now;

static uint8_t *image_data, *pristine;
static size_t image_data_bytes;
static uint64_t junk[(ARENA_BYTES * 2) / 8];

/* State of the running test; the signal handler reads it. */
static sigjmp_buf back;
static volatile sig_atomic_t running, ticks_used, ticks_allowed, caught;
static volatile uint64_t fault_address;
static uint32_t call_abi, calls_made;
static uint64_t calls_digest[2];
static unsigned arenas_in_use;
static const struct test *current; /* whose pages are part of the memory */

static uint64_t arena_address(unsigned arena) { return arena_bases[arena]; }

static const struct page_ref *pages_of(const struct test *t) {
    return (const struct page_ref *)((const uint8_t *)t + t->bytes) - t->pages;
}

#include "pages.h"

#include "calls.h"
#include "confine.h"
#include "run.h"

static void time_pairs(void); /* timing.h */

/* --- the supervising process
 * --------------------------------------------------------------------------------------- */

/* Runs tests first .. last-1 in one child; returns the first one that is not finished (last: all are). */
static unsigned run_group(unsigned first, unsigned last, unsigned arenas) {
    arenas_in_use = arenas;
    pid_t child = fork();
    if (child < 0)
        return first;
    if (child == 0) {
        int is_timing = now.kind == KIND_TIME;
        if (!is_confined(10 + (last - first) * (now.deadline_ms / 1000 + 1) / 4,
                         is_timing ? TIMING_TICK_MS : TICK_MS)) {
            shared->sandbox_failed = 1;
            _exit(3);
        }
        if (is_timing)
            time_pairs();
        else
            for (unsigned i = first; i < last; i++)
                run_test(i);
        replay_exit(0);
    }
    /* The child limits itself; this is for one that runs wild in a way it cannot see. */
    sigset_t ended;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    unsigned at = first, idle = 0;
    while (waitpid(child, 0, WNOHANG) == 0) {
        sigtimedwait(&ended, 0, &(struct timespec){1, 0});
        unsigned was = at;
        while (at < last && shared->seen[at].status != PENDING)
            at++;
        idle = was == at ? idle + 1 : 0;
        if (idle > 10 + now.deadline_ms / 50)
            kill(child, SIGKILL);
    }
    while (at < last && shared->seen[at].status != PENDING)
        at++;
    return at;
}
static void run_all(void) {
    for (unsigned i = 0; i < n_tests; i++)
        shared->seen[i] = (struct observation){.status = PENDING};
    shared->log_used = shared->timeouts = 0;
    for (unsigned first = 0; first < n_tests && !shared->sandbox_failed;) {
        unsigned last = first + 1;
        while (!(now.flags & FLAG_FORK_EACH) && last < n_tests && tests[last]->arenas == tests[first]->arenas)
            last++;
        first = run_group(first, last, tests[first]->arenas);
        if (first < last)
            shared->seen[first++] = (struct observation){.status = STATUS_DIED};
    }
}

static int is_writable_range(const struct test *t, uint64_t at, uint64_t n) {
    uint64_t data = (uint64_t)image_data;
    if (at >= data && n <= image_data_bytes && at - data <= image_data_bytes - n)
        return 1;
    for (unsigned i = 0; i < t->arenas; i++)
        if (at >= arena_address(i) && n <= ARENA_BYTES && at - arena_address(i) <= ARENA_BYTES - n)
            return 1;
    return 0;
}
static int are_pages(const struct test *t) {
    const struct page_ref *p = pages_of(t);
    for (unsigned i = 0; i < t->pages; i++)
        if (p[i].page >= n_pages || p[i].content >= n_contents || p[i].is_writable > 1 ||
            (i && p[i].page <= p[i - 1].page))
            return 0;
    return 1;
}
/* Checks the loaded records once, so that running them need not. */
static int load_tests(size_t at, size_t bytes) {
    while (at < bytes) {
        const struct test *t = (const struct test *)(payload + at);
        if (bytes - at < sizeof *t || t->bytes > bytes - at || n_tests == MAX_TESTS || t->arenas > ARENAS ||
            t->stack_slots > 128 || t->bytes % 8 || t->pages > MAX_PAGES ||
            (t->mxcsr & ~MXCSR_MODES) != MXCSR_DEFAULT || (t->spare && t->spare >= t->arenas))
            return ERROR_BAD_REQUEST;
        size_t inner = sizeof *t + 8 * (size_t)t->stack_slots;
        for (unsigned i = 0; i < t->patches; i++) {
            if (inner + sizeof(struct patch) > t->bytes)
                return ERROR_BAD_REQUEST;
            const struct patch *p = (const struct patch *)(payload + at + inner);
            inner += sizeof *p + (p->bytes + 7) / 8 * 8;
            if (inner > t->bytes || !is_writable_range(t, p->address, p->bytes))
                return ERROR_BAD_REQUEST;
        }
        if (inner + t->pages * sizeof(struct page_ref) != t->bytes || !are_pages(t))
            return ERROR_BAD_REQUEST;
        tests[n_tests++] = t;
        at += t->bytes;
    }
    return ERROR_NONE;
}

static void read_all(void *at, size_t n) {
    for (ssize_t got; n; at = (char *)at + got, n -= (size_t)got)
        if ((got = read(0, at, n)) <= 0) {
            if (got < 0 && errno == EINTR)
                got = 0;
            else
                _exit(got ? 5 : 0);
        }
}
static void write_all(const void *at, size_t n) {
    for (ssize_t put; n; at = (const char *)at + put, n -= (size_t)put)
        if ((put = write(1, at, n)) < 0) {
            if (errno != EINTR)
                _exit(5);
            put = 0;
        }
}
static int load(void) {
    n_tests = 0;
    unmap_pages();
    madvise(payload, PAYLOAD_BYTES, MADV_REMOVE);
    read_all(payload, now.bytes);
    /* See layout.py: contents, addresses, tests. */
    uint64_t contents = now.entry, addresses = now.flags;
    if (contents > PAYLOAD_BYTES / PAGE || addresses > MAX_PAGES ||
        contents * PAGE + addresses * 8 > now.bytes)
        return ERROR_BAD_REQUEST;
    n_contents = (unsigned)contents;
    int error = take_addresses((const uint64_t *)content(n_contents), (unsigned)addresses);
    if (!error)
        error = load_tests(contents * PAGE + addresses * 8, now.bytes);
    if (!error)
        error = map_pages();
    if (error)
        n_tests = 0, unmap_pages();
    return error;
}

#include "timing.h"

static int answer_request(struct reply *reply) {
    if (now.magic != REQUEST_MAGIC || now.bytes > PAYLOAD_BYTES)
        return ERROR_BAD_REQUEST;
    if (now.kind == KIND_CALLEES) {
        if (now.bytes > sizeof callees)
            return ERROR_BAD_REQUEST;
        read_all(callees, now.bytes);
        return ERROR_NONE;
    }
    if (now.kind == KIND_LOAD)
        return load();
    cpu_x87_results = now.x87_results;
    ticks_allowed = (int)(now.deadline_ms / (now.kind == KIND_TIME ? TIMING_TICK_MS : TICK_MS) + 1);
    poison_bytes(cpu_junk, sizeof cpu_junk);
    cpu_junk_word = poison_word(40);
    cpu_plain_calls = now.kind == KIND_TIME;
    if (now.kind == KIND_RUN)
        run_all();
    else if (now.kind == KIND_TIME)
        return time_request(reply);
    else
        return ERROR_BAD_REQUEST;
    reply->observations = n_tests;
    reply->log_bytes = now.flags & FLAG_TRACE ? shared->log_used : 0;
    return shared->sandbox_failed ? ERROR_SANDBOX : ERROR_NONE;
}

/* --- start
 * ---------------------------------------------------------------------------------------------------------
 */

static char **arguments;
/* Something random (the heap, the stack) lies where the image belongs: start again, without randomness if we
 * may. */
static void start_again(void) {
    static char tries[2] = "0";
    int before = arguments[3] ? arguments[3][0] - '0' : 0;
    tries[0] = (char)('1' + before);
    personality(ADDR_NO_RANDOMIZE);
    if (before < 8)
        execv("/proc/self/exe", (char *[]){arguments[0], arguments[1], arguments[2], tries, 0});
    _exit(4);
}
static void *map_at(uint64_t at, size_t n, int protection, int sharing) {
    void *got = mmap((void *)at, n, protection,
                     sharing | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED_NOREPLACE : 0), -1, 0);
    if (got == MAP_FAILED || (at && got != (void *)at))
        start_again();
    return got;
}
/* With a page that faults on either side, whatever the kernel puts nearby. */
static void map_guarded(uint64_t at, size_t n) {
    map_at(at - PAGE, n + 2 * PAGE, PROT_NONE, MAP_SHARED);
    if (mprotect((void *)at, n, PROT_READ | PROT_WRITE))
        _exit(4);
}
/* The image has thread-local data, which ends where its thread pointer is. */
static int has_thread_pointer(const Elf64_Phdr *p) {
    uint64_t align = p->p_align ? p->p_align : 1, end = p->p_vaddr + p->p_memsz;
    if (!(getauxval(AT_HWCAP2) & 2)) /* FSGSBASE; arch_prctl is not for a confined process */
        _exit(6);
    replay_own_thread = fs_base();
    replay_image_thread = (end + align - 1) & -align;
    uint64_t data = (uint64_t)image_data;
    return replay_image_thread >= data && replay_image_thread + 8 <= data + image_data_bytes &&
           *(uint64_t *)replay_image_thread == replay_image_thread;
}
static int load_image(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    Elf64_Ehdr head;
    Elf64_Phdr part[16];
    if (file < 0 || read(file, &head, sizeof head) != sizeof head || memcmp(head.e_ident, ELFMAG, SELFMAG) ||
        head.e_phnum > 16 ||
        pread(file, part, head.e_phnum * sizeof *part, (off_t)head.e_phoff) !=
            head.e_phnum * (ssize_t)sizeof *part)
        return 0;
    for (unsigned i = 0; i < head.e_phnum; i++) {
        const Elf64_Phdr *p = &part[i];
        if (p->p_type != PT_LOAD || p->p_memsz == 0)
            continue;
        uint64_t start = p->p_vaddr & ~(uint64_t)(PAGE - 1);
        size_t bytes = (p->p_vaddr + p->p_memsz - start + PAGE - 1) & ~(size_t)(PAGE - 1);
        int is_inside = start >= image_base && start + bytes <= image_base + IMAGE_BYTES;
        if ((!is_inside && start != IMAGE_IMPORTS) || p->p_filesz > p->p_memsz ||
            (p->p_flags & PF_W && p->p_flags & PF_X))
            return 0;
        map_at(start, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE);
        if (pread(file, (void *)p->p_vaddr, p->p_filesz, (off_t)p->p_offset) != (ssize_t)p->p_filesz)
            return 0;
        if (start == IMAGE_IMPORTS)
            for (uint64_t *slot = (uint64_t *)start; *slot; slot++) {
                const char *name = (const char *)*slot;
                *slot = 0;
                for (unsigned k = 0; k < sizeof imports / sizeof *imports; k++)
                    if (!strcmp(name, imports[k].name))
                        *slot = (uint64_t)imports[k].address;
                if (!*slot)
                    return 0;
            }
        if (start == image_base + DATA_AT) {
            image_data = (void *)start;
            image_data_bytes = (p->p_memsz + 63) & ~(size_t)63;
            pristine = map_at(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE);
            memcpy(pristine, image_data, bytes);
        } else
            mprotect((void *)start, bytes, PROT_READ | (p->p_flags & PF_X ? PROT_EXEC : 0));
    }
    close(file);
    for (unsigned i = 0; i < head.e_phnum; i++)
        if (part[i].p_type == PT_TLS && !has_thread_pointer(&part[i]))
            return 0;
    return image_data_bytes <= MAX_IMAGE_DATA;
}

/* "image,stack,entry,arena,arena,...", each in hexadecimal. */
static int take_placement(const char *words) {
    uint64_t *places[ARENAS + 3] = {&image_base, &stack_base, &stack_entry};
    for (unsigned i = 0; i < ARENAS; i++)
        places[i + 3] = &arena_bases[i];
    for (unsigned i = 0; i < ARENAS + 3; i++) {
        char *end;
        *places[i] = strtoul(words, &end, 16);
        if (end == words || *end != (i == ARENAS + 2 ? 0 : ',') || (*places[i] % PAGE && i != 2) || !*places[i])
            return 0;
        words = end + 1;
    }
    return stack_entry > stack_base && stack_entry <= stack_base + ENTRY_AT && stack_entry % 16 == 8;
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "--imports")) {
        for (unsigned i = 0; i < sizeof imports / sizeof *imports; i++)
            puts(imports[i].name);
        return 0;
    }
    if ((argc != 3 && argc != 4) || !take_placement(argv[2])) /* the fourth is our own: how often we started again */
        return 2;
    arguments = argv;
    /* Whoever asks again after a collision wants other addresses: undo what we may have inherited. */
    int habits = personality(0xffffffff);
    if (argc == 3 && habits != -1 && habits & ADDR_NO_RANDOMIZE &&
        personality((unsigned)habits & ~ADDR_NO_RANDOMIZE) != -1)
        execv("/proc/self/exe", (char *[]){argv[0], argv[1], argv[2], "0", 0});
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, 0);
    cpu_vector_level = __builtin_cpu_supports("avx512bw") ? 2 : __builtin_cpu_supports("avx") ? 1 : 0;
    /* A slot holds its name's address before the import segment is reached, so names must be mapped first:
     * they are. */
    if (!load_image(argv[1]))
        return 4;
    map_at(CONTROL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
    map_at(LOG_BASE, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED);
    map_guarded(STACK_BASE, STACK_BYTES);
    for (unsigned i = 0; i < ARENAS; i++)
        map_guarded(arena_address(i), ARENA_BYTES);
    payload = map_at(0, PAYLOAD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED);
    shared = map_at(0, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED);
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof junk / 8; i++)
        seed = step(seed, i + 1), junk[i] = seed ^ seed >> 31;
    for (;;) {
        struct reply reply = {.magic = REPLY_MAGIC};
        read_all(&now, sizeof now);
        reply.error = (uint32_t)answer_request(&reply);
        if (reply.error)
            reply.observations = 0, reply.log_bytes = 0;
        write_all(&reply, sizeof reply);
        write_all(shared->seen, reply.observations * sizeof *shared->seen);
        write_all((void *)LOG_BASE, reply.log_bytes);
        shared->sandbox_failed = 0;
    }
}
