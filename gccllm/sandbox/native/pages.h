/*
 * Memory of recorded calls: pages at the addresses that they had in the program.
 *
 * A LOAD maps the pages of all its tests, before any confinement and privately: what a child writes is gone with
 * the child. Before a call a test's own pages get their content; afterwards those that no longer have it are digested.
 *
 * A page that no test may write, and that has the same content in every test that has it, is filled once and mapped
 * read-only ("fixed"): nothing can change it, so it is neither copied nor compared again, and a store into it faults
 * as it would in the program. A long run of equal fixed pages costs the memory of a short one. Any other page is copied before every call, even if the call before left it alone: a wild
 * store may have come from a test that does not have the page, and to find out by comparing would read as much memory
 * as copying does.
 *
 * The digest does not tell fixed pages from unchanged ones, so it is the same whatever tests are loaded beside.
 *
 * Not covered: a page that is not the test's own is there when another test of the LOAD has it, with whatever that
 * one left. Such an access does not fault; the checked build sees it.
 */
#pragma once
#include "digest.h"

static uint64_t page_address[MAX_PAGES];
static uint32_t page_content[MAX_PAGES]; /* of fixed pages; NO_CONTENT: not fixed */
static unsigned n_pages, n_contents;

#define NO_CONTENT 0xffffffffu
#define TILE_PAGES 256

static const uint8_t *content(unsigned number) { return payload + (size_t)number * PAGE; }
static int is_fixed(const struct page_ref *p) { return page_content[p->page] != NO_CONTENT; }
static void *own_page(const struct page_ref *p) { return (void *)page_address[p->page]; }

static void lay_down_pages(const struct test *t) {
    const struct page_ref *p = pages_of(t);
    for (unsigned i = 0; i < t->pages; i++, p++)
        if (!is_fixed(p))
            memcpy(own_page(p), content(p->content), PAGE);
}
static void digest_pages(struct digest *d, const struct test *t) {
    const struct page_ref *p = pages_of(t);
    for (unsigned i = 0; i < t->pages; i++, p++)
        if (!is_fixed(p) && memcmp(own_page(p), content(p->content), PAGE)) {
            uint64_t where[8] = {page_address[p->page]};
            digest_add(d, where, sizeof where);
            digest_add(d, own_page(p), PAGE);
        }
}

/* --- the supervising process
 * --------------------------------------------------------------------------------------- */

/* Calls `act` for each run of neighbouring pages, fixed ones apart when `kinds` is set; stops at an error. */
static int each_run(int kinds, int (*act)(uint64_t at, size_t n, int fixed)) {
    int error = ERROR_NONE;
    for (unsigned i = 0, end; i < n_pages && !error; i = end) {
        int fixed = page_content[i] != NO_CONTENT;
        for (end = i + 1; end < n_pages && page_address[end] == page_address[end - 1] + PAGE; end++)
            if (kinds && fixed != (page_content[end] != NO_CONTENT))
                break;
        error = act(page_address[i], (size_t)(end - i) * PAGE, fixed);
    }
    return error;
}
static uint64_t mapped_up_to;
static int unmap_run(uint64_t at, size_t n, int fixed) {
    (void)fixed;
    if (at < mapped_up_to)
        munmap((void *)at, n);
    return ERROR_NONE;
}
static void unmap_pages(void) {
    each_run(0, unmap_run);
    mapped_up_to = n_pages = n_contents = 0;
}
static int map_run(uint64_t at, size_t n, int fixed) {
    (void)fixed;
    void *got = mmap((void *)at, n, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == MAP_FAILED)
        return errno == EEXIST ? ERROR_COLLISION : ERROR_MEMORY;
    if (got != (void *)at) { /* a kernel that does not know the flag takes the address for a hint */
        munmap(got, n);
        return ERROR_COLLISION;
    }
    mapped_up_to = at + n;
    return ERROR_NONE;
}
static int protect_run(uint64_t at, size_t n, int fixed) {
    return fixed && mprotect((void *)at, n, PROT_READ) ? ERROR_MEMORY : ERROR_NONE;
}
/* Where the run of neighbouring fixed pages of one content that begins with page i ends. */
static unsigned end_of_equal(unsigned i) {
    unsigned end = i + 1;
    while (end < n_pages && page_content[i] != NO_CONTENT && page_content[end] == page_content[i] &&
           page_address[end] == page_address[end - 1] + PAGE)
        end++;
    return end;
}
/* Many equal pages: TILE_PAGES real ones, mapped again and again. */
static int lay_tiles(unsigned first, unsigned end) {
    int file = memfd_create("tile", MFD_CLOEXEC), error = file < 0 ? ERROR_MEMORY : ERROR_NONE;
    for (unsigned i = 0; i < TILE_PAGES && !error; i++)
        if (pwrite(file, content(page_content[first]), PAGE, (off_t)i * PAGE) != PAGE)
            error = ERROR_MEMORY;
    for (unsigned i = first; i < end && !error; i += TILE_PAGES) {
        size_t n = (size_t)(end - i < TILE_PAGES ? end - i : TILE_PAGES) * PAGE;
        if (mmap((void *)page_address[i], n, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED)
            error = ERROR_MEMORY;
    }
    if (file >= 0)
        close(file);
    return error;
}
/* Takes the addresses of a LOAD; the tests that name them come afterwards. */
static int take_addresses(const uint64_t *at, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        if (at[i] % PAGE || at[i] < PAGE_FIRST || at[i] >= PAGE_END || (i && at[i] <= at[i - 1]))
            return ERROR_BAD_REQUEST;
        page_address[i] = at[i];
        page_content[i] = NO_CONTENT;
    }
    n_pages = n;
    return ERROR_NONE;
}
/* Maps the pages of the loaded tests. */
static int map_pages(void) {
    static uint8_t differs[MAX_PAGES];
    memset(differs, 0, sizeof differs);
    for (unsigned k = 0; k < n_tests; k++) {
        const struct page_ref *p = pages_of(tests[k]);
        for (unsigned i = 0; i < tests[k]->pages; i++, p++) {
            uint32_t *known = &page_content[p->page];
            differs[p->page] |= p->is_writable || (*known != NO_CONTENT && *known != p->content);
            *known = p->content;
        }
    }
    for (unsigned i = 0; i < n_pages; i++)
        if (differs[i])
            page_content[i] = NO_CONTENT;
    int error = each_run(0, map_run);
    for (unsigned i = 0, end; i < n_pages && !error; i = end) {
        end = end_of_equal(i);
        if (end - i >= 2 * TILE_PAGES)
            error = lay_tiles(i, end);
        else if (page_content[i] != NO_CONTENT)
            for (unsigned k = i; k < end; k++)
                memcpy((void *)page_address[k], content(page_content[k]), PAGE);
    }
    return error ? error : each_run(1, protect_run);
}
