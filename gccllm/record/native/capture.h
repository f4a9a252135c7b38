/*
 * The child that makes one capture: a copy of the program in which the function's body runs once more, locked away from
 * all memory but what it touches, and from the kernel.
 *
 * Covered: reads and writes of private and of read-only shared memory, by the function and whatever it calls.
 * Not covered: what the function reads of executable mappings, of the clock, or of memory that other processes change.
 *
 * After `lock` nothing of the program may be touched here, neither data nor constants: what is needed is in the
 * scratch memory, whose address GS holds. (Constants of this code lie among its instructions, see record/build.py.)
 */
#pragma once

#include "counts.h"

enum {
    MOST_PAGES = 1024,
    MOST_MAPS = 4096,
    MOST_SYMBOLS = 1024,
    HASHED = 4096,
    IO_BYTES = 16384,
    STACK_BYTES = 65536,
    WIDEST_TCB = 3, /* pages around the thread control block */
    STACK_GROWTH = 8 << 20,

    DIRTY = 1,
    WRITABLE = 2,
    WHOLE = 4,

    WROTE = 2,    /* bits of a page fault's error code */
    FETCHED = 16, /* an instruction */
};

struct map {
    u64 start, end;
    u8 protection, is_shared, is_stack;
};

struct page {
    u64 address;
    u32 flags, zero;
};

/* The capture file's head. */
struct head {
    char magic[8];
    u32 version, pages, symbols, zero;
    char key[64];
    u64 call, calls, ticks, resume, fs;
    struct registers before;
    u64 vectors_before[8][2];
    u64 mxcsr_before;
    struct registers after;
    u64 vectors_after[2][2];
    u64 mxcsr_after;
};

struct scratch {
    struct head head;
    struct scratch *self;
    u64 resume, r11, stack_top;
    struct said *said;
    u64 most_bytes;
    u64 return_address;
    u64 maps_count, tcb_start, tcb_end;
    u64 symbols[MOST_SYMBOLS][2];
    struct page pages[MOST_PAGES];
    uint16_t hash[HASHED]; /* 1 + index in pages; 0: free */
    struct map maps[MOST_MAPS];
    char path[MOST_PATH + MOST_NAME], temporary[MOST_PATH + MOST_NAME];
    u8 io[IO_BYTES];
    u8 signal_stack[STACK_BYTES] __attribute__((aligned(64)));
    u8 stack[STACK_BYTES] __attribute__((aligned(64)));
    u8 content[MOST_PAGES][PAGE] __attribute__((aligned(PAGE)));
};

_Static_assert(sizeof(struct head) == 560, "docs/recording.md");
_Static_assert(offsetof(struct head, before) == 128 && offsetof(struct head, after) == 392, "below");
_Static_assert(offsetof(struct head, vectors_after) == 520 && offsetof(struct head, mxcsr_after) == 552, "below");
_Static_assert(offsetof(struct scratch, self) == 560 && offsetof(struct scratch, stack_top) == 584, "below");

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

static struct scratch *scratch_now(void) {
    struct scratch *here;

    __asm__ volatile("movq %%gs:560, %0" : "=r"(here));
    return here;
}

static __attribute__((noreturn)) void leave(struct said *said, enum word word, u64 bytes) {
    said->bytes = bytes;
    said->word = word;
    __atomic_store_n(&said->is_done, 1, __ATOMIC_SEQ_CST);
    call3(SYS_futex, &said->is_done, FUTEX_WAKE, 1);
    for (;;)
        call1(SYS_exit_group, 0);
}

/* --- the listing of the address space ------------------------------------------------------------ */

struct reader {
    int descriptor;
    u32 at, end;
    u8 *buffer;
};

/* The next byte; -1 at the end. */
static int next_byte(struct reader *from) {
    if (from->at == from->end) {
        long got = call3(SYS_read, from->descriptor, from->buffer, IO_BYTES);

        if (got <= 0)
            return -1;
        from->at = 0;
        from->end = (u32)got;
    }
    return from->buffer[from->at++];
}

static u64 next_hex(struct reader *from, int *stop) {
    u64 value = 0;

    for (;;) {
        int byte = next_byte(from);

        if (byte >= '0' && byte <= '9')
            value = value << 4 | (u64)(byte - '0');
        else if (byte >= 'a' && byte <= 'f')
            value = value << 4 | (u64)(byte - 'a' + 10);
        else {
            *stop = byte;
            return value;
        }
    }
}

/* One line of /proc/self/maps: START-END rwxp OFFSET DEVICE INODE  NAME. 0 at the end. `name` gets two bytes. */
static int next_map(struct reader *from, struct map *map, char name[2]) {
    char mode[4];
    int byte, spaces = 0;

    map->start = next_hex(from, &byte);
    if (byte != '-')
        return 0;
    map->end = next_hex(from, &byte);
    for (int i = 0; i < 4; i++)
        mode[i] = (char)next_byte(from);
    name[0] = name[1] = 0;
    while ((byte = next_byte(from)) >= 0 && byte != '\n') {
        if (byte == ' ')
            spaces++;
        else if (spaces > 3 && name[0] == 0) /* the fourth space ends the inode */
            name[0] = (char)byte;
        else if (name[0] != 0 && name[1] == 0)
            name[1] = (char)byte;
    }
    map->protection = (u8)((mode[0] == 'r' ? PROT_READ : 0) | (mode[1] == 'w' ? PROT_WRITE | PROT_READ : 0) |
                           (mode[2] == 'x' ? PROT_EXEC : 0));
    map->is_shared = mode[3] == 's';
    return byte == '\n';
}

/* What has to be locked: all but what cannot be read, unchanging code, and the kernel's pages. */
static int is_lockable(const struct map *map, const char name[2]) {
    if (!(map->protection & PROT_READ) || (map->protection & (PROT_WRITE | PROT_EXEC)) == PROT_EXEC)
        return 0;
    return name[0] != '[' || name[1] != 'v';
}

/* 0 when there are too many. */
static int add_map(struct scratch *here, const struct map *map, u64 start, u64 end) {
    struct map *added = &here->maps[here->maps_count];

    if (start >= end)
        return 1;
    if (here->maps_count == MOST_MAPS)
        return 0;
    here->maps_count++;
    copy(added, map, sizeof(*map));
    added->start = start;
    added->end = end;
    return 1;
}

/* The map without our own memory, which the kernel may have joined to a neighbour. */
static int add_without(struct scratch *here, const struct map *map, u64 own, u64 own_end) {
    if (own >= map->end || own_end <= map->start)
        return add_map(here, map, map->start, map->end);
    return add_map(here, map, map->start, own) && add_map(here, map, own_end, map->end);
}

static int list_maps(struct scratch *here) {
    static const char listing[] = "/proc/self/maps";
    struct reader from = {.descriptor = open_in_child(listing, 0), .buffer = here->io};
    struct map map;
    char name[2];

    if (from.descriptor < 0)
        return 0;
    while (next_map(&from, &map, name)) {
        if (!is_lockable(&map, name) || map.start == (u64)here->said)
            continue;
        map.is_stack = name[0] == '[' && name[1] == 's';
        if (!add_without(here, &map, (u64)here, (u64)(here + 1)))
            return 0;
    }
    call1(SYS_close, from.descriptor);
    return here->maps_count > 0;
}

static const struct map *map_of(const struct scratch *here, u64 address) {
    u64 low = 0, high = here->maps_count;

    while (low < high) {
        u64 middle = (low + high) / 2;

        if (here->maps[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == here->maps_count)
        return NULL;
    /* The kernel makes a stack grow when it is touched below its end. */
    if (here->maps[low].start > address &&
        !(here->maps[low].is_stack && here->maps[low].start - address <= STACK_GROWTH))
        return NULL;
    return &here->maps[low];
}

/* --- pages --------------------------------------------------------------------------------------- */

/* Where the page is entered in the hash, or where it would be. */
static uint16_t *place_of(struct scratch *here, u64 page) {
    u64 at = (page >> 12) * 0x9E3779B97F4A7C15ul >> 52;

    while (here->hash[at] != 0 && here->pages[here->hash[at] - 1].address != page)
        at = (at + 1) % HASHED;
    return &here->hash[at];
}

/* Keep what a readable page holds. NULL when there are too many. */
static struct page *save(struct scratch *here, u64 address, u32 flags) {
    u32 index = here->head.pages;
    u64 slot = here->head.before.rsp;
    struct page *page = &here->pages[index];

    if (index == MOST_PAGES)
        return NULL;
    here->head.pages++;
    *place_of(here, address) = (uint16_t)(index + 1);
    page->address = address;
    page->flags = flags;
    copy(here->content[index], (const void *)address, PAGE);
    if (slot / PAGE == address / PAGE && slot % PAGE <= PAGE - 8)
        copy(here->content[index] + slot % PAGE, &here->return_address, 8);
    return page;
}

static void touch(struct scratch *here, u64 address, u64 error) {
    u64 page = address & -(u64)PAGE;
    const struct map *map = map_of(here, page);
    u32 is_write = (error & WROTE) != 0;
    u32 protection, index;

    if (map == NULL || (is_write && !(map->protection & PROT_WRITE)))
        leave(here->said, FAULT, 0);
    if (is_write && map->is_shared)
        leave(here->said, SHARED, 0);
    if (error & FETCHED && !(map->protection & PROT_EXEC))
        leave(here->said, FAULT, 0);
    protection = is_write ? map->protection : map->protection & ~(u32)PROT_WRITE;
    index = *place_of(here, page);
    /* A known page faults once more, at its first write. */
    if (index != 0 && (!is_write || here->pages[index - 1].flags & DIRTY))
        leave(here->said, FAULT, 0);
    if (call3(SYS_mprotect, page, PAGE, protection) < 0)
        leave(here->said, MEMORY, 0);
    if (index != 0)
        here->pages[index - 1].flags |= DIRTY;
    else if (!save(here, page, (map->protection & PROT_WRITE ? WRITABLE : 0u) | (is_write ? DIRTY : 0u)))
        leave(here->said, PAGES, 0);
}

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

/* --- the way in ---------------------------------------------------------------------------------- */

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
    static const u64 limit[4] = {0, 0, CHILD_MS / 1000, CHILD_MS % 1000 * 1000};
    u64 own = (u64)function_returned, *slot;

    describe(here, of);
    call2(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    call2(SYS_arch_prctl, ARCH_SHSTK_DISABLE, 1);
    call2(SYS_arch_prctl, ARCH_SET_GS, here);
    if (!list_maps(here))
        leave(here->said, MAPS, 0);
    call2(SYS_prctl, PR_SET_DUMPABLE, 0); /* no core file of ours */
    keep_control_block(here);
    watch_signals(here);
    slot = (u64 *)here->head.before.rsp;
    here->return_address = *slot;
    *slot = own;
    call3(SYS_setitimer, ITIMER_PROF, limit, 0);
    if (!is_confined())
        leave(here->said, SECCOMP, 0);
    if (!lock(here))
        leave(here->said, MEMORY, 0);
    here->head.ticks = ticks_now();
    enter_function();
}

/* In the child, still on the program's stack. The vector registers hold what the function was called with. */
static __attribute__((noreturn)) void become_capture(const struct sample *of) {
    struct scratch *here = map_memory(sizeof(*here), MAP_PRIVATE | MAP_NORESERVE);

    if (here == NULL)
        leave(of->state->said, MEMORY, 0);
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
    if (!write_capture(here, dirty))
        leave(here->said, FILE_, 0);
    leave(here->said, CAPTURED, bytes);
}
