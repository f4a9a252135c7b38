/*
 * The kernel's x86-64 interface, as far as the recorder needs it, without a C library and without its headers: the
 * recorder is compiled by the user's gcc into the user's program, whatever library that has.
 *
 * Every system call is made by one instruction, whose address the filter of a capturing child lets through.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef unsigned __int128 u128;

enum { PAGE = 4096 };

enum {
    SYS_read = 0,
    SYS_open = 2,
    SYS_close = 3,
    SYS_mmap = 9,
    SYS_mprotect = 10,
    SYS_munmap = 11,
    SYS_rt_sigaction = 13,
    SYS_rt_sigprocmask = 14,
    SYS_rt_sigreturn = 15,
    SYS_writev = 20,
    SYS_madvise = 28,
    SYS_setitimer = 38,
    SYS_getpid = 39,
    SYS_clone = 56,
    SYS_wait4 = 61,
    SYS_kill = 62,
    SYS_rename = 82,
    SYS_unlink = 87,
    SYS_getrusage = 98,
    SYS_sigaltstack = 131,
    SYS_prctl = 157,
    SYS_arch_prctl = 158,
    SYS_futex = 202,
    SYS_clock_gettime = 228,
    SYS_exit_group = 231,
};

enum {
    EINTR = 4,
    EAGAIN = 11,
    EMFILE = 24,
    ENOENT = 2,

    O_WRONLY = 1,
    O_CREAT = 0100,
    O_TRUNC = 01000,
    O_NOFOLLOW = 0400000,
    O_CLOEXEC = 02000000,

    PROT_NONE = 0,
    PROT_READ = 1,
    PROT_WRITE = 2,
    PROT_EXEC = 4,
    MAP_SHARED = 1,
    MAP_PRIVATE = 2,
    MAP_ANONYMOUS = 0x20,
    MAP_NORESERVE = 0x4000,
    MADV_WIPEONFORK = 18,

    CLONE_VM = 0x100,
    CLONE_VFORK = 0x4000,
    CLONE_UNTRACED = 0x800000,
    WNOHANG = 1,
    __WALL = 0x40000000,

    SIG_BLOCK = 0,
    SIG_UNBLOCK = 1,
    SIG_SETMASK = 2,
    SIGILL = 4,
    SIGTRAP = 5,
    SIGBUS = 7,
    SIGFPE = 8,
    SIGKILL = 9,
    SIGSEGV = 11,
    SIGPROF = 27,
    SIGSYS = 31,
    SA_SIGINFO = 4,
    SA_RESTORER = 0x04000000,
    SA_ONSTACK = 0x08000000,
    ITIMER_PROF = 2,

    PR_SET_PDEATHSIG = 1,
    PR_SET_DUMPABLE = 4,
    PR_SET_SECCOMP = 22,
    PR_SET_NO_NEW_PRIVS = 38,
    SECCOMP_MODE_FILTER = 2,
    ARCH_SET_GS = 0x1001,
    ARCH_GET_FS = 0x1003,
    ARCH_SHSTK_DISABLE = 0x5002,

    FUTEX_WAIT = 0,
    FUTEX_WAKE = 1,
    CLOCK_REALTIME = 0,
    CLOCK_MONOTONIC = 1,
    CLOCK_PROCESS_CPUTIME_ID = 2,
    CLOCK_THREAD_CPUTIME_ID = 3,
    AT_SECURE = 23,
};

struct timespec {
    int64_t tv_sec, tv_nsec;
};

/* struct rusage. The times are seconds and microseconds; the first of the sizes is the largest resident one, in KiB. */
struct usage {
    u64 user[2], system[2], sizes[4], minor_faults, rest[9];
};

struct iovec {
    const void *iov_base;
    u64 iov_len;
};

struct sigaction {
    void (*sa_handler)(int, void *, void *);
    u64 sa_flags;
    void (*sa_restorer)(void);
    u64 sa_mask;
};

struct stack {
    void *ss_sp;
    int ss_flags;
    u64 ss_size;
};

struct sock_filter {
    uint16_t code;
    u8 jt, jf;
    u32 k;
};

struct sock_fprog {
    uint16_t len;
    struct sock_filter *filter;
};

long system_call(long number, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f);
extern const u8 system_call_done[];
/* A child that calls function(argument) on the stack that ends at `stack`, and ends. The parent gets its number or a
 * negative error. */
long clone_to(u64 flags, void *stack, void (*function)(void *), void *argument);

__asm__(".text\n"
        "system_call:\n"
        "\tmovq %rdi, %rax\n"
        "\tmovq %rsi, %rdi\n"
        "\tmovq %rdx, %rsi\n"
        "\tmovq %rcx, %rdx\n"
        "\tmovq %r8, %r10\n"
        "\tmovq %r9, %r8\n"
        "\tmovq 8(%rsp), %r9\n"
        "\tsyscall\n"
        "system_call_done:\n"
        "\tret\n"
        "clone_to:\n"
        "\tsubq $16, %rsi\n"
        "\tmovq %rdx, (%rsi)\n"
        "\tmovq %rcx, 8(%rsi)\n"
        "\txorl %edx, %edx\n"
        "\txorl %r10d, %r10d\n"
        "\txorl %r8d, %r8d\n"
        "\tmovl $56, %eax\n"
        "\tsyscall\n"
        "\ttestq %rax, %rax\n"
        "\tjne clone_done\n"
        "\tpopq %rax\n"
        "\tpopq %rdi\n"
        "\tcall *%rax\n"
        "\txorl %edi, %edi\n"
        "\tmovl $231, %eax\n"
        "\tsyscall\n"
        "clone_done:\n"
        "\tret\n"
        /* A handler's way back. */
        "signal_return:\n"
        "\tendbr64\n"
        "\tmovl $15, %edi\n"
        "\tmovl $15, %eax\n"
        "\tjmp system_call_done - 2\n");

#define call0(number) system_call(number, 0, 0, 0, 0, 0, 0)
#define call1(number, a) system_call(number, (u64)(a), 0, 0, 0, 0, 0)
#define call2(number, a, b) system_call(number, (u64)(a), (u64)(b), 0, 0, 0, 0)
#define call3(number, a, b, c) system_call(number, (u64)(a), (u64)(b), (u64)(c), 0, 0, 0)
#define call4(number, a, b, c, d) system_call(number, (u64)(a), (u64)(b), (u64)(c), (u64)(d), 0, 0)

static void copy(void *to, const void *from, u64 bytes) {
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

static u64 ticks_now(void) {
    u32 low, high;

    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high) : : "rcx", "memory");
    return (u64)high << 32 | low;
}

static u64 nanoseconds(int clock) {
    struct timespec now = {0, 0};

    call2(SYS_clock_gettime, clock, &now);
    return (u64)now.tv_sec * 1000000000 + (u64)now.tv_nsec;
}

/* Memory of our own, zeroed; NULL: none. */
static void *map_memory(u64 bytes, int kind) {
    long at = system_call(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE, (u64)(kind | MAP_ANONYMOUS), (u64)-1, 0);

    return at < 0 && at > -PAGE ? NULL : (void *)at;
}

/* A new descriptor of a child, which has its own table: when that is full, what the program has open is given up. */
static int open_in_child(const char *path, int flags) {
    long descriptor = call3(SYS_open, path, flags | O_CLOEXEC, 0600);

    if (descriptor == -EMFILE) {
        call1(SYS_close, 0);
        descriptor = call3(SYS_open, path, flags | O_CLOEXEC, 0600);
    }
    return (int)descriptor;
}

/* All of it; 0 when anything could not be written. */
static int write_all(int descriptor, const void *data, u64 bytes) {
    while (bytes > 0) {
        struct iovec one = {data, bytes};
        long wrote = call3(SYS_writev, descriptor, &one, 1);

        if (wrote == -EINTR)
            continue;
        if (wrote <= 0)
            return 0;
        data = (const u8 *)data + wrote;
        bytes -= (u64)wrote;
    }
    return 1;
}
