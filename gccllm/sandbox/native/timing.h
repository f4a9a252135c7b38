/*
 * Timed runs: two functions on the same tests, interleaved at random, the call alone between the two clock
 * readings.
 *
 * A round takes the next tests of a shuffled deck until the sample is long enough, copies of the second
 * function and two sets of copies of the first (function and control). A test comes again only when the deck is through, and
 * then in another order: what comes again at once the branch predictor has learnt by heart. Every call starts from the same memory: what the test lays down, junk
 * elsewhere. To put that back cheaply, the lines of memory that the first function leaves changed are found
 * once; the second leaves the same memory (it was shown equal before), and the end of the request checks that
 * it did.
 *
 * Recorded pages (pages.h) are put back the same way, to the content that they were last given; a page is copied only
 * where the test before had another content in it. So a page that all tests share is as warm as the calls make it.
 */
#pragma once

struct time_head {
    uint32_t rounds, passes, copies[2];
    uint64_t seed, target_ticks, empty, entries[2][MAX_COPIES];
};
struct sample {
    uint64_t ticks[3], calls, empty;
};
_Static_assert(sizeof(struct time_head) == TIME_BYTES && sizeof(struct sample) == SAMPLE_BYTES, "layout");

#define LINE 64
#define MOST_OVERHEAD 16
static struct time_head timed;
static uint64_t dirty[MAX_TIMED][ARENAS][ARENA_BYTES / LINE / 64];
static uint64_t typical_ticks[MAX_TIMED], whole_ticks[MAX_TIMED], random_state;
static unsigned deck[MAX_TIMED], deck_next;
static uint32_t held[MAX_PAGES];              /* the content of each page between calls */
static uint64_t dirty_pages[MAX_TIMED_PAGES]; /* a bit a line, for each own page of each test */
static unsigned first_page[MAX_TIMED];        /* of a test, in dirty_pages */

static uint64_t draw(uint64_t below) {
    random_state = step(random_state, 0x2545f4914f6cdd1d);
    return (random_state >> 20) % below;
}
static void shuffle(unsigned *list, unsigned n) {
    for (unsigned i = n; i > 1; i--) {
        unsigned j = (unsigned)draw(i), kept = list[i - 1];
        list[i - 1] = list[j], list[j] = kept;
    }
}
/* The next test; the deck is shuffled anew when it is through. */
static unsigned deal(void) {
    if (deck_next == n_tests)
        deck_next = 0;
    if (deck_next == 0)
        shuffle(deck, n_tests);
    return deck[deck_next++];
}
static void restore(uint64_t at, size_t n) {
    if (at - (uint64_t)image_data < image_data_bytes)
        return; /* all writable data is put back anyway */
    memcpy((void *)at, (uint8_t *)junk + at % ARENA_BYTES, n);
}
static void lay_down(const struct test *t) {
    const uint8_t *at = (const uint8_t *)(t + 1) + 8 * (size_t)t->stack_slots;
    for (unsigned i = 0; i < t->patches; i++) {
        const struct patch *p = (const struct patch *)at;
        memcpy((void *)p->address, p + 1, p->bytes);
        at += sizeof *p + (p->bytes + 7) / 8 * 8;
    }
}
static void hold_pages(const struct test *t) {
    const struct page_ref *p = pages_of(t);
    for (unsigned i = 0; i < t->pages; i++, p++)
        if (!is_fixed(p) && held[p->page] != p->content) {
            memcpy(own_page(p), content(p->content), PAGE);
            held[p->page] = p->content;
        }
}
/* Makes the next hold_pages copy, so that what it costs can be measured. */
static void forget_pages(const struct test *t) {
    const struct page_ref *p = pages_of(t);
    for (unsigned i = 0; i < t->pages; i++)
        held[p[i].page] = NO_CONTENT;
}
static void take_up_pages(unsigned k) {
    const struct page_ref *p = pages_of(tests[k]);
    for (unsigned i = 0; i < tests[k]->pages; i++, p++)
        for (uint64_t bits = dirty_pages[first_page[k] + i]; bits; bits &= bits - 1) {
            size_t at = (size_t)__builtin_ctzl(bits) * LINE;
            memcpy((uint8_t *)own_page(p) + at, content(p->content) + at, LINE);
        }
}
static int are_own_pages_back(const struct test *t) {
    const struct page_ref *p = pages_of(t);
    for (unsigned i = 0; i < t->pages; i++, p++)
        if (!is_fixed(p) && memcmp(own_page(p), content(p->content), PAGE))
            return 0;
    return 1;
}
/* Are all pages as they were last laid down? */
static int are_pages_back(void) {
    for (unsigned i = 0; i < n_pages; i++)
        if (held[i] != NO_CONTENT && memcmp((void *)page_address[i], content(held[i]), PAGE))
            return 0;
    return 1;
}
static void find_dirty_pages(unsigned k) {
    const struct page_ref *p = pages_of(tests[k]);
    for (unsigned i = 0; i < tests[k]->pages; i++, p++)
        if (!is_fixed(p)) {
            const uint8_t *is = own_page(p), *was = content(p->content);
            for (size_t at = 0; at < PAGE; at += LINE)
                if (memcmp(is + at, was + at, LINE))
                    dirty_pages[first_page[k] + i] |= 1ul << at / LINE;
        }
    take_up_pages(k);
}
static void take_up(unsigned k) {
    const struct test *t = tests[k];
    take_up_pages(k);
    const uint8_t *at = (const uint8_t *)(t + 1) + 8 * (size_t)t->stack_slots;
    for (unsigned i = 0; i < t->patches; i++) {
        const struct patch *p = (const struct patch *)at;
        restore(p->address, p->bytes);
        at += sizeof *p + (p->bytes + 7) / 8 * 8;
    }
    for (unsigned a = 0; a < t->arenas; a++)
        for (unsigned w = 0; w < ARENA_BYTES / LINE / 64; w++)
            for (uint64_t bits = dirty[k][a][w]; bits; bits &= bits - 1)
                restore(arena_address(a) + (64 * w + (unsigned)__builtin_ctzl(bits)) * LINE, LINE);
    memcpy(image_data, pristine, image_data_bytes);
}
/* Notes and puts back the lines that test k left changed outside its own data; returns how many. */
static unsigned find_dirty(unsigned k) {
    unsigned found = 0;
    for (unsigned a = 0; a < arenas_in_use; a++)
        for (unsigned line = 0; line < ARENA_BYTES / LINE; line++) {
            uint64_t at = arena_address(a) + line * LINE;
            if (memcmp((void *)at, (uint8_t *)junk + at % ARENA_BYTES, LINE)) {
                dirty[k][a][line / 64] |= 1ul << line % 64;
                restore(at, LINE);
                found++;
            }
        }
    return found;
}
static uint64_t time_call(const struct test *t, uint64_t entry) {
    uint64_t *ints[] = {&cpu_in.rdi, &cpu_in.rsi, &cpu_in.rdx, &cpu_in.rcx, &cpu_in.r8, &cpu_in.r9};
    for (unsigned i = 0; i < 6; i++)
        if (t->int_bytes[i])
            *ints[i] = t->ints[i];
    for (unsigned i = 0; i < 8; i++)
        if (t->vector_bytes[i])
            memcpy(cpu_vectors[i], t->vectors[i], 16);
    uint64_t *stack = (uint64_t *)STACK_ENTRY;
    stack[0] = (uint64_t)replay_landing;
    memcpy(stack + 1, t + 1, 8 * (size_t)t->stack_slots);
    cpu_in.entry = entry;
    calls_digest[0] = calls_digest[1] = calls_made = 0;
    ticks_used = 0;
    running = 1;
    replay_enter();
    running = 0;
    return cpu_out.ended - cpu_out.started;
}
static uint64_t time_once(unsigned k, uint64_t entry) {
    lay_down(tests[k]);
    hold_pages(tests[k]);
    uint64_t ticks = time_call(tests[k], entry);
    take_up(k);
    return ticks;
}
static void time_round(struct sample *out, uint64_t empty) {
    static unsigned chosen[MAX_TIMED_CALLS];
    unsigned n = 0;
    /* Laying down much data for short calls must not take all the time there is. */
    for (uint64_t expected = 0, whole = 0;
         n < MAX_TIMED_CALLS &&
         (n == 0 || (expected < timed.target_ticks && whole < MOST_OVERHEAD * timed.target_ticks));
         n++) {
        unsigned k = chosen[n] = deal();
        expected += typical_ticks[k] > empty ? typical_ticks[k] - empty : 1;
        whole += whole_ticks[k];
    }
    /* Function and control have copies of their own: what runs more often is better known to the predictors.
     * One copy a sample: calls that take turns among copies are noisier, each time cold. */
    unsigned half = (timed.copies[0] + 1) / 2, rest = timed.copies[0] - half;
    const uint64_t *places[3] = {timed.entries[0], timed.entries[1], timed.entries[0] + (rest ? half : 0)};
    unsigned many[3] = {half, timed.copies[1], rest ? rest : half}, order[3] = {0, 1, 2};
    uint64_t place[3];
    for (unsigned i = 0; i < 3; i++)
        place[i] = places[i][draw(many[i])];
    *out = (struct sample){.calls = (uint64_t)n * timed.passes, .empty = empty};
    for (unsigned pass = 0; pass < timed.passes; pass++) {
        shuffle(order, 3);
        shuffle(chosen, n);
        for (unsigned i = 0; i < 3; i++) {
            unsigned side = order[i];
            for (unsigned c = 0; c < n; c++)
                out->ticks[side] += time_once(chosen[c], place[side]);
        }
    }
}
/* Runs confined in the child. Leaves shared->log_used at 0 unless every round was done and memory was left as
 * expected. */
static void time_pairs(void) {
    struct sample *out = (struct sample *)LOG_BASE;
    if (sigsetjmp(back, 0))
        return;
    fill_registers(tests[0]);
    cpu_in.mxcsr = MXCSR_DEFAULT, cpu_in.x87_control = X87_DEFAULT;
    set_threads();
    random_state = timed.seed;
    for (unsigned a = 0; a < arenas_in_use; a++)
        memcpy((void *)arena_address(a), junk, ARENA_BYTES);
    memcpy(image_data, pristine, image_data_bytes);
    memset(dirty, 0, sizeof dirty);
    memset(held, 0xff, sizeof held);
    for (unsigned k = 0; k < n_tests; k++) {
        time_once(k, timed.entries[0][0]);
        find_dirty(k);
        find_dirty_pages(k);
        typical_ticks[k] = ~0ul;
        for (unsigned i = 0; i < 3; i++) {
            forget_pages(tests[k]);
            uint64_t began = __builtin_ia32_rdtsc();
            uint64_t ticks = time_once(k, timed.entries[0][i % timed.copies[0]]);
            whole_ticks[k] = __builtin_ia32_rdtsc() - began;
            typical_ticks[k] = ticks < typical_ticks[k] ? ticks : typical_ticks[k];
        }
    }
    /* Only now: a line that only the second function changes must be found at the end, not put back. */
    for (unsigned k = 0; k < n_tests; k++) {
        time_once(k, timed.entries[1][0]);
        if (!are_own_pages_back(tests[k])) /* the next test may lay its own content over it */
            return;
    }
    uint64_t empty = ~0ul;
    for (unsigned i = 0; i < 300; i++) {
        uint64_t ticks = time_once(0, timed.empty);
        empty = ticks < empty ? ticks : empty;
    }
    deck_next = 0;
    for (unsigned k = 0; k < n_tests; k++)
        deck[k] = k;
    for (unsigned r = 0; r < timed.rounds; r++)
        time_round(&out[r], empty);
    for (unsigned a = 0; a < arenas_in_use; a++)
        if (memcmp((void *)arena_address(a), junk, ARENA_BYTES))
            return;
    if (!are_pages_back())
        return;
    shared->log_used = timed.rounds * sizeof *out;
}
static int time_request(struct reply *reply) {
    if (now.bytes != sizeof timed)
        return ERROR_BAD_REQUEST;
    read_all(&timed, sizeof timed);
    if (n_tests == 0 || n_tests > MAX_TIMED || timed.copies[0] == 0 || timed.copies[0] > MAX_COPIES ||
        timed.copies[1] == 0 || timed.copies[1] > MAX_COPIES ||
        timed.rounds > LOG_BYTES / sizeof(struct sample))
        return ERROR_BAD_REQUEST;
    shared->log_used = 0;
    unsigned most = 0, pages = 0;
    for (unsigned i = 0; i < n_tests; i++) {
        first_page[i] = pages;
        pages += tests[i]->pages;
        if (pages > MAX_TIMED_PAGES)
            return ERROR_BAD_REQUEST;
        shared->seen[i] = (struct observation){.status = PENDING};
        most = tests[i]->arenas > most ? tests[i]->arenas : most;
    }
    run_group(0, n_tests, most);
    reply->log_bytes = shared->log_used;
    return shared->sandbox_failed ? ERROR_SANDBOX : ERROR_NONE;
}
