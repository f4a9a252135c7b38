/*
 * The memory of a capturing child: what there is, what has been touched, and what it held before.
 */
#pragma once

#include "recorder.h"
#include "text.h"

enum {
    MOST_PAGES = (64 << 20) / PAGE + 256, /* what a call may work on, its stack and its own data */
    FEW_PAGES = 1024,                     /* where there is no room for as many */
    STRETCH = 1024,
    MOST_MAPS = 4096,
    MOST_SYMBOLS = 1024,
    HASHED = 1 << 16,
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
    u64 most_pages;
    u64 maps_count, tcb_start, tcb_end;
    u64 symbols[MOST_SYMBOLS][2];
    struct page pages[MOST_PAGES];
    uint16_t hash[HASHED]; /* 1 + index in pages; 0: free */
    struct map maps[MOST_MAPS];
    char path[MOST_PATH + MOST_NAME], temporary[MOST_PATH + MOST_NAME];
    u8 io[IO_BYTES];
    u8 vectors[512] __attribute__((aligned(64))); /* x87, mxcsr, xmm0 to xmm15 */
    u8 signal_stack[STACK_BYTES] __attribute__((aligned(64)));
    u8 stack[STACK_BYTES] __attribute__((aligned(64)));
    u8 content[][PAGE] __attribute__((aligned(PAGE))); /* most_pages of them */
};

_Static_assert(sizeof(struct head) == 560, "docs/internals/recording.md");
_Static_assert(offsetof(struct head, before) == 128 && offsetof(struct head, after) == 392, "below");
_Static_assert(offsetof(struct head, vectors_after) == 520 && offsetof(struct head, mxcsr_after) == 552, "below");
_Static_assert(offsetof(struct scratch, self) == 560 && offsetof(struct scratch, stack_top) == 584, "below");

static u64 scratch_bytes(u64 pages) { return sizeof(struct scratch) + pages * PAGE; }

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
        if (!add_without(here, &map, (u64)here, (u64)here + scratch_bytes(here->most_pages)))
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
    u64 at = (page >> 12) * 0x9E3779B97F4A7C15ul >> 48;

    while (here->hash[at] != 0 && here->pages[here->hash[at] - 1].address != page)
        at = (at + 1) % HASHED;
    return &here->hash[at];
}

/* The processor time that the child may take from now on. */
static void allow_time(void) {
    const u64 limit[4] = {0, 0, CHILD_MS / 1000, CHILD_MS % 1000 * 1000};

    call3(SYS_setitimer, ITIMER_PROF, limit, 0);
}

/* Keep what a readable page holds. NULL when there are too many. */
static struct page *save(struct scratch *here, u64 address, u32 flags) {
    u32 index = here->head.pages;
    u64 slot = here->head.before.rsp;
    struct page *page = &here->pages[index];

    if (index == here->most_pages)
        return NULL;
    /* What goes over much memory takes long, and gets on; what does not get on is ended. */
    if (++here->head.pages % STRETCH == 0)
        allow_time();
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
    if ((u64)here->head.pages * PAGE > here->most_bytes)
        leave(here->said, BYTES, 0);
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
