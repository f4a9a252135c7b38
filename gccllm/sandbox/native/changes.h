/*
 * What a call does to memory. A function of another unit may change whatever is not the caller's own: so a call of one
 * changes some of it, drawn from the test's `changes` and the number of the call; the same on both sides of a comparison.
 *
 *   data      one byte of some words, in the arenas, the image's writable data and the test's own writable pages. A word
 *             that holds a pointer keeps it: junk in its place would only fault.
 *   pointers  once, those into one arena are led to a copy of it in the test's spare arena, as if somebody had moved
 *             what lies there; what is left in the old place changes.
 *
 * `kept` arenas are those that restrict lets nobody else change. Memory that is reached by no pointer changes too: no
 * caller may look at it.
 *
 * Not covered: pointers that become null, or point to other objects than a copy of theirs.
 */
#pragma once
#include <emmintrin.h>

#define MARGIN 64
#define NEAR (1ul << 23) /* placements keep twice as much free between any two arenas */
#define MANY_WORDS 4096
#define ZEROS_STAY 0x80 /* they may be pointers */
enum { EVERY_CALL, ONE_CALL, SOME_CALLS };
/* The bits of `changes`: 0-1 what is done to a word, 2-3 how many are changed, 4-5 at which calls, 6 pointers as well,
 * 7 zeros stay, 8-10 and 12-13 the call of the one kind and of the other, 16- which arena; all of it seeds the rest. */

static int is_frame(uint64_t word) { return word - STACK_BASE < STACK_BYTES; }
static int is_own_page(uint64_t word) {
    const struct page_ref *p = pages_of(current);
    for (unsigned low = 0, high = current->pages; low < high;) {
        unsigned middle = (low + high) / 2;
        if (word - page_address[p[middle].page] < PAGE)
            return 1;
        if (word < page_address[p[middle].page])
            high = middle;
        else
            low = middle + 1;
    }
    return 0;
}
/* The arena that a word points into, or near enough to be meant for it; ARENAS when there is none. */
static unsigned arena_near(uint64_t word) {
    unsigned i = 0;
    while (i < ARENAS && word - (arena_address(i) - NEAR) >= 2 * NEAR)
        i++;
    return i;
}
static int is_pointer(uint64_t word) {
    return arena_near(word) < ARENAS || word - image_base < IMAGE_BYTES || is_frame(word) ||
           (current->pages && is_own_page(word));
}

/* Calls `act` for each piece of memory that somebody else may change, whole. */
static void each_piece(void (*act)(uint64_t *words, size_t n)) {
    for (unsigned i = 0; i < current->arenas; i++)
        if (!(current->kept >> i & 1))
            act((uint64_t *)arena_address(i), ARENA_BYTES / 8);
    act((uint64_t *)image_data, image_data_bytes / 8);
    const struct page_ref *p = pages_of(current);
    for (unsigned i = 0; i < current->pages; i++, p++)
        if (p->is_writable)
            act(own_page(p), PAGE / 8);
}

static uint64_t change_state, moved_from, moved_by;
static void change_words(uint64_t *words, size_t n) {
    static const unsigned gaps[] = {0, 1, 7, 31};
    unsigned gap = n > MANY_WORDS ? 63 : gaps[current->changes >> 2 & 3], how = current->changes & 3;
    for (size_t i = 0; i < n; i++) {
        change_state = step(change_state, i);
        i += change_state >> 40 & gap;
        if (i >= n || is_pointer(words[i]) || (current->changes & ZEROS_STAY && !words[i]))
            continue;
        /* Mostly by little, and where the low byte of an int or of a long is: a length that grows much ends the test. */
        unsigned at = how == 0 ? change_state >> 32 & 4 : change_state >> 32 & 7;
        uint8_t by = how == 3 ? (uint8_t)(change_state >> 48 | 1) : change_state >> 50 & 1 ? 1 : 255;
        ((uint8_t *)&words[i])[at] += by;
    }
}
/* The words of an arena that the test lays down, and some around them: the rest is junk that few functions look at. */
static void change_around(uint64_t at, uint64_t bytes) {
    unsigned arena = arena_near(at);
    if (arena >= current->arenas || current->kept >> arena & 1)
        return;
    uint64_t low = arena_address(arena), high = low + ARENA_BYTES, end = (at + bytes + MARGIN + 7) & ~7ul;
    uint64_t start = (at - MARGIN) & ~7ul;
    start = start < low ? low : start, end = end > high ? high : end;
    change_words((uint64_t *)start, (end - start) / 8);
    if (moved_by && low == moved_from)
        change_words((uint64_t *)(start + moved_by), (end - start) / 8);
}
static void change_data(void) {
    const uint8_t *at = (const uint8_t *)(current + 1) + 8 * (size_t)current->stack_slots;
    for (unsigned i = 0; i < current->patches; i++) {
        const struct patch *p = (const struct patch *)at;
        change_around(p->address, p->bytes);
        at += sizeof *p + (p->bytes + 7) / 8 * 8;
    }
    change_words((uint64_t *)image_data, image_data_bytes / 8);
    const struct page_ref *p = pages_of(current);
    for (unsigned i = 0; i < current->pages; i++, p++)
        if (p->is_writable)
            change_words(own_page(p), PAGE / 8);
}

static void lead_words(uint64_t *words, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (words[i] - moved_from <= ARENA_BYTES)
            words[i] += moved_by;
}
static void move_arena(void) {
    unsigned from = (current->changes >> 16) % current->spare, to = current->spare;
    if (current->kept >> from & 1)
        return;
    moved_from = arena_address(from), moved_by = arena_address(to) - moved_from;
    memcpy((void *)arena_address(to), (void *)moved_from, ARENA_BYTES);
    each_piece(lead_words);
    uint64_t by = moved_by; /* what is left in the old place changes, the copy does not */
    moved_by = 0;
    change_words((uint64_t *)moved_from, ARENA_BYTES / 8);
    moved_by = by;
}
static void change_memory(uint64_t callee) {
    uint32_t how = current->changes;
    if (!how)
        return;
    change_state = step(step(how, calls_made), callee + 1);
    unsigned which = how >> 4 & 3;
    if (which == EVERY_CALL || (which == ONE_CALL && calls_made == (how >> 8 & 7) + 1) ||
        (which >= SOME_CALLS && !(change_state >> 33 & which)))
        change_data();
    if (how >> 6 & 1 && current->spare && calls_made == (how >> 12 & 3) + 1)
        move_arena();
}

static int frames_seen;
/* Upper halves first, four at a time: every call pays for this. n is a multiple of four. */
static void look_for_frames(uint64_t *words, size_t n) {
    __m128i wanted = _mm_set1_epi32((int)(STACK_BASE >> 32)), found = _mm_setzero_si128();
    for (size_t i = 0; i < n; i += 4) {
        __m128 a = _mm_loadu_ps((float *)&words[i]), b = _mm_loadu_ps((float *)&words[i + 2]);
        __m128i upper = _mm_castps_si128(_mm_shuffle_ps(a, b, 0xdd));
        found = _mm_or_si128(found, _mm_cmpeq_epi32(upper, wanted));
    }
    if (_mm_movemask_epi8(found))
        for (size_t i = 0; i < n; i++)
            frames_seen |= is_frame(words[i]);
}
/* Whether memory holds an address in the caller's own frame, so that others may change what no stub changes. */
static int has_frame_address(void) {
    frames_seen = 0;
    each_piece(look_for_frames);
    return frames_seen != 0;
}
