/* What the parts of the recorder share: the stubs' descriptors, the words for what became of a sample, the state. */
#pragma once

#include "system.h"

/* Of one recorded function, in the program's data; docs/internals/recording.md. */
struct descriptor {
    int64_t countdown;
    int64_t started;
    u64 calls;
    u64 resume;
    const char *key;
    const char *name;
    const u64 *symbols; /* how many, then address and size of each; with THREAD_LOCAL, of a function that tells the address */
    struct function *state; /* NULL: not met by this process */
};

struct registers {
    u64 rdi, rsi, rdx, rcx, r8, r9, rax, r10, rbx, rbp, r12, r13, r14, r15, rsp, rflags;
};

#define THREAD_LOCAL (1ul << 63)

/* Why a sample came to nothing. The names are in counts.h. */
enum word {
    CAPTURED,
    BUDGET,   /* the time for recording is used up for now */
    BUSY,     /* another thread records */
    BYTES,    /* so many bytes may not be kept */
    CLONE,    /* no child process */
    FAULT,    /* the function faulted */
    FILE_,    /* the file could not be written */
    KILLED,   /* the child was killed from outside, or by the kernel */
    MAPS,     /* the address space could not be listed, or is too scattered */
    MEMORY,   /* no memory, or none that can be locked */
    PAGES,    /* the function touched too many pages */
    SECCOMP,  /* the kernel refuses the confinement */
    SHARED,   /* the function wrote to shared memory */
    SYSCALL,  /* the function made a system call */
    TIMER,    /* the function ran too long */
    BORROWED, /* called in a child that borrows its parent's memory */
    WORDS
};

enum {
    MOST_FUNCTIONS = 8192, /* recorded ones of an image that a process calls */
    MOST_CALLS = 64,       /* slots of a reservoir */
    MOST_PATH = 1024,
    MOST_NAME = 128, /* of a file in the directory */
    COUNTS_STACK = 16384,
    CHILD_MS = 200,     /* of processor time, for every STRETCH pages */
    PATIENCE_MS = 4000, /* of waiting: a capture writes a file */
};

/* A function that this process has called. */
struct function {
    struct descriptor *of;
    u64 captured;
    u64 bytes;    /* of its files */
    u64 ticks;    /* when it was last looked at */
    u32 filled;   /* slots in use */
    u32 failures; /* in a row */
    u32 sizes[MOST_CALLS];
    u32 dropped[WORDS];
};

/* The page that a forked process finds zeroed. */
struct own {
    u64 pid; /* 0: a forked process that has not set itself up */
    int is_taken;
};

/* What a child says to its parent. */
struct said {
    u32 is_done;
    u32 word;
    u64 bytes;
};

struct state {
    struct own own;
    u8 rest[PAGE - sizeof(struct own)];
    struct said *said; /* a page that children share */
    u64 start;         /* nanoseconds of the clock when recording began: tells processes of one number apart */
    u64 random;
    u64 spent; /* nanoseconds of processor time */
    u64 faults, copied, resident; /* pages; see may_spend */
    u64 bytes; /* of the files that stand */
    u64 captured;
    u64 most_calls, most_bytes, most_percent;
    u32 functions;
    char directory[MOST_PATH];
    u8 stack[COUNTS_STACK] __attribute__((aligned(64)));
    struct function table[MOST_FUNCTIONS];
};

_Static_assert(sizeof(struct descriptor) == 64, "docs/internals/recording.md");
_Static_assert(offsetof(struct state, said) == PAGE, "own page");

/* The address of the runtime tells the images of a process apart. */
extern const u8 entry[] __asm__("__gccllm_record_v2");
