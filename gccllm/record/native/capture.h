/*
 * The child that makes one capture: a copy of the program in which the function's body runs once more, locked away from
 * all memory but what it touches, and from the kernel.
 *
 * Covered: reads and writes of private and of read-only shared memory, by the function and whatever it calls.
 * Not covered: what the function reads of executable mappings, of the clock, or of memory that other processes change.
 *
 * After `lock` nothing of the program may be touched here, neither data nor constants: what is needed is in the
 * scratch memory, whose address GS holds. (Constants of this code lie among its instructions, see record/stub.py.)
 */
#pragma once

#include "counts.h"
#include "memory.h"

/* What the parent knows of a sample; the child reads it before it locks. */
struct sample {
    const struct state *state;
    const struct descriptor *of;
    const struct registers *at;
    u64 r11;
    u64 call;
    u64 most_bytes;
    u32 slot;
    u64 pid;
};

void enter_function(void) __attribute__((noreturn));
extern const u8 function_returned[];
void signal_return(void);
static void finish(void) __attribute__((noreturn, used));
static void capture(struct scratch *, const struct sample *) __attribute__((noreturn, used));
void capture_on(struct scratch *, const struct sample *, void *stack) __attribute__((noreturn));

__asm__(".text\n"
        "capture_on:\n"
        "\tmovq %rdx, %rsp\n"
        "\tcall capture\n"
        "enter_function:\n"
        "\tpushq %gs:128+120\n"
        "\tpopfq\n"
        "\tmovq %gs:128, %rdi\n"
        "\tmovq %gs:128+8, %rsi\n"
        "\tmovq %gs:128+16, %rdx\n"
        "\tmovq %gs:128+24, %rcx\n"
        "\tmovq %gs:128+32, %r8\n"
        "\tmovq %gs:128+40, %r9\n"
        "\tmovq %gs:128+48, %rax\n"
        "\tmovq %gs:128+56, %r10\n"
        "\tmovq %gs:128+64, %rbx\n"
        "\tmovq %gs:128+72, %rbp\n"
        "\tmovq %gs:128+80, %r12\n"
        "\tmovq %gs:128+88, %r13\n"
        "\tmovq %gs:128+96, %r14\n"
        "\tmovq %gs:128+104, %r15\n"
        "\tmovq %gs:560+16, %r11\n"
        "\tmovq %gs:128+112, %rsp\n"
        "\tjmp *%gs:560+8\n"
        "function_returned:\n"
        "\tmovq %rsp, %gs:392+112\n"
        "\tmovq %gs:584, %rsp\n"
        "\tpushfq\n"
        "\tpopq %gs:392+120\n"
        "\tcld\n"
        "\tmovq %rdi, %gs:392\n"
        "\tmovq %rsi, %gs:392+8\n"
        "\tmovq %rdx, %gs:392+16\n"
        "\tmovq %rcx, %gs:392+24\n"
        "\tmovq %r8, %gs:392+32\n"
        "\tmovq %r9, %gs:392+40\n"
        "\tmovq %rax, %gs:392+48\n"
        "\tmovq %r10, %gs:392+56\n"
        "\tmovq %rbx, %gs:392+64\n"
        "\tmovq %rbp, %gs:392+72\n"
        "\tmovq %r12, %gs:392+80\n"
        "\tmovq %r13, %gs:392+88\n"
        "\tmovq %r14, %gs:392+96\n"
        "\tmovq %r15, %gs:392+104\n"
        "\tmovups %xmm0, %gs:520\n"
        "\tmovups %xmm1, %gs:520+16\n"
        "\tstmxcsr %gs:552\n"
        "\tcall finish\n");

/* --- the way in ---------------------------------------------------------------------------------- */

static void on_signal(int number, void *info, void *context) {
    enum { ERROR = 5 + 19, ADDRESS = 5 + 22 }; /* words of struct ucontext: REG_ERR, REG_CR2 */
    const u64 *words = context;
    struct scratch *here = scratch_now();
    int code = ((const int *)info)[2];

    if (number == SIGSYS)
        leave(here->said, SYSCALL, 0);
    if (number != SIGSEGV || code <= 0 || code == 0x80 /* SI_KERNEL: no address */)
        leave(here->said, FAULT, 0);
    touch(here, words[ADDRESS], words[ERROR]);
}

static void watch_signals(struct scratch *here) {
    static const u8 watched[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};
    struct stack alternate = {.ss_sp = here->signal_stack, .ss_size = STACK_BYTES};
    struct sigaction action, usual;
    u64 open = 1ul << (SIGPROF - 1);

    /* Field by field: a constant with addresses in it would have to be relocated. */
    action.sa_handler = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTORER;
    action.sa_restorer = signal_return;
    action.sa_mask = ~(1ul << (SIGPROF - 1));
    usual.sa_handler = NULL;
    usual.sa_flags = SA_RESTORER;
    usual.sa_restorer = signal_return;
    usual.sa_mask = 0;
    call2(SYS_sigaltstack, &alternate, 0);
    for (u32 i = 0; i < sizeof(watched); i++) {
        call4(SYS_rt_sigaction, watched[i], &action, 0, 8);
        open |= 1ul << (watched[i] - 1);
    }
    call4(SYS_rt_sigaction, SIGPROF, &usual, 0, 8);
    /* Everything else stays blocked, as the parent had it: the program's handlers do not run here. */
    call4(SYS_rt_sigprocmask, SIG_UNBLOCK, &open, 0, 8);
}

/* Nothing but our own system-call instruction. */
static int is_confined(void) {
    enum { LOAD = 0x20, EQUAL = 0x15, RETURN = 0x06, POINTER = 8, ALLOW = 0x7fff0000, TRAP = 0x00030000 };
    u64 done = (u64)system_call_done;
    struct sock_filter rules[] = {
        {LOAD, 0, 0, POINTER},   {EQUAL, 0, 3, (u32)done}, {LOAD, 0, 0, POINTER + 4}, {EQUAL, 0, 1, (u32)(done >> 32)},
        {RETURN, 0, 0, ALLOW},   {RETURN, 0, 0, TRAP},
    };
    struct sock_fprog program = {sizeof(rules) / sizeof(*rules), rules};

    return system_call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0) == 0 &&
           call3(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* The kernel writes to the thread control block (rseq) when it likes, and would kill us if it could not: the pages
 * around it stay open, and are recorded whole. */
static void keep_control_block(struct scratch *here) {
    u64 middle = here->head.fs & -(u64)PAGE;

    here->tcb_start = here->tcb_end = 0;
    if (here->head.fs == 0)
        return;
    for (u64 page = middle - PAGE; page <= middle + PAGE; page += PAGE) {
        const struct map *map = map_of(here, page);

        if (map == NULL || map->start > page || map->is_shared || !(map->protection & PROT_WRITE))
            continue;
        if (here->tcb_end == 0)
            here->tcb_start = page;
        here->tcb_end = page + PAGE;
        save(here, page, WRITABLE | WHOLE);
    }
}

/* Where this thread has its thread-local data. To ask may make it, as the body's first access would: it is part of the
 * state before the call, which nothing has looked at yet. The body finds the vector registers as they were. */
static void find_thread_data(struct scratch *here) {
    __asm__ volatile("fxsave64 %0" : "=m"(here->vectors));
    for (u32 i = 0; i < here->head.symbols; i++)
        if (here->symbols[i][1] & THREAD_LOCAL) {
            here->symbols[i][0] = ((u64(*)(void))here->symbols[i][0])();
            here->symbols[i][1] &= ~THREAD_LOCAL;
        }
    __asm__ volatile("fxrstor64 %0" : : "m"(here->vectors));
}

static int lock_range(u64 start, u64 end) {
    return start >= end || call3(SYS_mprotect, start, end - start, PROT_NONE) == 0;
}

/* Nothing of the program can be reached after this. */
static int lock(const struct scratch *here) {
    for (u64 i = 0; i < here->maps_count; i++) {
        u64 start = here->maps[i].start, end = here->maps[i].end;

        while (i + 1 < here->maps_count && here->maps[i + 1].start == end)
            end = here->maps[++i].end;
        if (start < here->tcb_end && here->tcb_start < end) {
            if (!lock_range(start, here->tcb_start))
                return 0;
            start = here->tcb_end;
        }
        if (!lock_range(start, end))
            return 0;
    }
    return 1;
}

/* DIRECTORY/PID-START-IMAGE.KEY16.SLOT.cap, and the name that it has until it is whole. */
static void name_files(struct scratch *here, const struct sample *of) {
    char *at;

    put_file(here->temporary, of->state, of->pid, "/.", ".cap");
    at = put_file(here->path, of->state, of->pid, "/", ".");
    for (int i = 0; i < 16; i++)
        *at++ = of->of->key[i];
    *at++ = '.';
    at = put_number(at, of->slot, 10);
    *put(at, ".cap") = '\0';
}

static void describe(struct scratch *here, const struct sample *of) {
    static const char magic[] = "GLLMCAP1";
    struct head *head = &here->head;
    u64 count = of->of->symbols[0];

    here->self = here;
    here->said = of->state->said;
    here->most_bytes = of->most_bytes;
    here->resume = of->of->resume;
    here->r11 = of->r11;
    here->stack_top = (u64)(here->stack + STACK_BYTES);
    copy(head->magic, magic, 8);
    copy(head->key, of->of->key, 64);
    copy(&head->before, of->at, sizeof(head->before));
    head->version = 1;
    head->symbols = (u32)(count < MOST_SYMBOLS ? count : MOST_SYMBOLS);
    head->call = head->calls = of->call;
    head->resume = of->of->resume;
    copy(here->symbols, of->of->symbols + 1, head->symbols * sizeof(here->symbols[0]));
    call2(SYS_arch_prctl, ARCH_GET_FS, &head->fs);
    name_files(here, of);
}

static void capture(struct scratch *here, const struct sample *of) {
    u64 own = (u64)function_returned, *slot;

    describe(here, of);
    call2(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    call2(SYS_arch_prctl, ARCH_SHSTK_DISABLE, 1);
    call2(SYS_arch_prctl, ARCH_SET_GS, here);
    if (!list_maps(here))
        leave(here->said, MAPS, 0);
    call2(SYS_prctl, PR_SET_DUMPABLE, 0); /* no core file of ours */
    watch_signals(here);
    slot = (u64 *)here->head.before.rsp;
    here->return_address = *slot;
    *slot = own;
    allow_time();
    if (!is_confined())
        leave(here->said, SECCOMP, 0);
    find_thread_data(here);
    keep_control_block(here);
    if (!lock(here))
        leave(here->said, MEMORY, 0);
    here->head.ticks = ticks_now();
    enter_function();
}

/* In the child, still on the program's stack. The vector registers hold what the function was called with. */
static __attribute__((noreturn)) void become_capture(const struct sample *of) {
    u64 pages = MOST_PAGES;
    struct scratch *here = map_memory(scratch_bytes(pages), MAP_PRIVATE | MAP_NORESERVE);

    if (here == NULL) {
        pages = FEW_PAGES;
        here = map_memory(scratch_bytes(pages), MAP_PRIVATE | MAP_NORESERVE);
    }
    if (here == NULL)
        leave(of->state->said, MEMORY, 0);
    here->most_pages = pages;
    __asm__ volatile("movups %%xmm0, (%0)\n\tmovups %%xmm1, 16(%0)\n\tmovups %%xmm2, 32(%0)\n\tmovups %%xmm3, 48(%0)\n\t"
                     "movups %%xmm4, 64(%0)\n\tmovups %%xmm5, 80(%0)\n\tmovups %%xmm6, 96(%0)\n\tmovups %%xmm7, 112(%0)\n\t"
                     "stmxcsr 128(%0)"
                     :
                     : "r"(here->head.vectors_before)
                     : "memory");
    capture_on(here, of, here->stack + STACK_BYTES);
}

/* --- the way out --------------------------------------------------------------------------------- */

/* What a whole page was is known; whether it was written shows now. */
static void compare_whole_pages(struct scratch *here) {
    for (u32 i = 0; i < here->head.pages; i++) {
        const u64 *now = (const u64 *)here->pages[i].address, *then = (const u64 *)here->content[i];

        if (!(here->pages[i].flags & WHOLE))
            continue;
        for (u32 word = 0; word < PAGE / 8; word++)
            if (now[word] != then[word])
                here->pages[i].flags |= DIRTY;
    }
}

/* 0 when there is anything that could not be written. */
static int write_capture(struct scratch *here, u32 dirty) {
    int file = open_in_child(here->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW);
    u64 count = here->head.pages;
    int is_whole = file >= 0 && write_all(file, &here->head, sizeof(here->head)) &&
                   write_all(file, here->symbols, here->head.symbols * sizeof(here->symbols[0])) &&
                   write_all(file, here->pages, count * sizeof(here->pages[0])) &&
                   write_all(file, here->content, count * PAGE);

    for (u64 i = 0; i < count && dirty > 0 && is_whole; i++)
        if (here->pages[i].flags & DIRTY)
            is_whole = write_all(file, (const void *)here->pages[i].address, PAGE);
    is_whole = is_whole && call1(SYS_close, file) == 0 && call2(SYS_rename, here->temporary, here->path) == 0;
    if (!is_whole && file >= 0)
        call1(SYS_unlink, here->temporary);
    return is_whole;
}

static void finish(void) {
    struct scratch *here = scratch_now();
    u64 slot = here->head.before.rsp, own = (u64)function_returned;
    uint16_t stack = *place_of(here, slot & -(u64)PAGE);
    u32 dirty = 0;
    u64 bytes;

    here->head.ticks = ticks_now() - here->head.ticks;
    if (stack != 0 && here->pages[stack - 1].flags & DIRTY && *(u64 *)slot == own)
        *(u64 *)slot = here->return_address;
    compare_whole_pages(here);
    for (u32 i = 0; i < here->head.pages; i++)
        dirty += here->pages[i].flags & DIRTY;
    bytes = sizeof(here->head) + here->head.symbols * sizeof(here->symbols[0]) +
            here->head.pages * (sizeof(here->pages[0]) + PAGE) + (u64)dirty * PAGE;
    if (bytes > here->most_bytes)
        leave(here->said, BYTES, 0);
    allow_time();
    if (!write_capture(here, dirty))
        leave(here->said, FILE_, 0);
    leave(here->said, CAPTURED, bytes);
}
