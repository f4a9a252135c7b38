/*
 * Stand-ins for functions of other units: what was asked goes into a digest, the answer is made from it, or the function
 * itself gives it; memory changes as it may under a call (changes.h).
 */
#pragma once
#include "changes.h"
#include "digest.h"

static uint64_t answer; /* made from this call's arguments and number only, the same in timed runs */

static void absorb(uint64_t word) {
    answer = step(answer, word);
    calls_digest[0] = step(calls_digest[0], word);
    calls_digest[1] = step(calls_digest[1], rotate(word, 31) + calls_digest[0]);
}
static uint64_t low_bytes(uint64_t word, unsigned n) { return n >= 8 ? word : word & ((1ul << 8 * n) - 1); }
static void leave_test(int why) {
    caught = why;
    siglongjmp(back, 1);
}
/* A pointer into the caller's own frame means nothing to a comparison, for frames differ: such calls cannot be stood in
 * for. A function that runs for real reads and writes there, and what comes of that is compared. */
static uint64_t argument(uint64_t word, unsigned bytes, uint64_t target) {
    if (bytes < 8 || word < STACK_BASE || word >= STACK_END)
        return low_bytes(word, bytes);
    if (!target)
        leave_test(SIGSYS);
    return STACK_BASE;
}
/* Ints are often compared with 0 or -1 or used as small counts: answer with such values most of the time. */
static uint64_t int_answer(uint64_t h) {
    switch (h & 7) {
    case 0:
    case 1:
        return 0;
    case 2:
    case 3:
        return h >> 8 & 15;
    case 4:
        return (uint64_t)-1;
    case 5:
        return h >> 8 & 255;
    default:
        return h >> 3;
    }
}
static void float_answer(uint64_t out[2], uint64_t h, unsigned bytes, int is_float) {
    double value = (double)(int64_t)(h >> 40) / 1024.0 - 4096.0;
    float low = (float)value, high = (float)(value * 0.5 + 1);
    out[0] = out[1] = 0;
    if (!bytes)
        out[0] = cpu_junk_word, out[1] = cpu_junk_word;
    else if (is_float)
        memcpy(out, &low, 4), memcpy((char *)out + 4, &high, bytes > 4 ? 4 : 0);
    else
        memcpy(out, &value, 8);
}
static void answer_call(void) {
    struct call *c = &call_frame;
    const uint64_t *stack = (const uint64_t *)c->rsp;
    const struct callee *spec = &callees[stack[0] % MAX_CALLEES];
    if (++calls_made > MAX_CALLS)
        leave_test(SIGPROF);
    if (c->rsp % 16 || c->flags & 0x400)
        call_abi |= ABI_CALL_ALIGNMENT;
    answer = calls_made;
    absorb(stack[0] + 0x100);
    for (int i = 0; i < 6; i++)
        if (spec->ints[i])
            absorb(argument(c->ints[i], spec->ints[i], spec->target));
    for (int i = 0; i < 8; i++)
        if (spec->vectors[i]) {
            absorb(low_bytes(c->xmm[i][0], spec->vectors[i]));
            if (spec->vectors[i] > 8)
                absorb(c->xmm[i][1]);
        }
    for (unsigned i = 0; i < spec->stack_args; i++)
        absorb(argument(stack[2 + i], spec->stack[i], spec->target));
    uint64_t h = step(answer, 1) ^ answer >> 32;
    c->target = spec->target;
    if (!cpu_plain_calls) {
        uint64_t memory[2];
        digest_memory(memory);
        absorb(memory[0]), absorb(memory[1]);
    }
    if (!cpu_plain_calls) {
        if (!c->target && has_frame_address())
            leave_test(SIGSYS);
        change_memory(stack[0]); /* the program that is linked may have another function of that name */
    }
    if (c->target) {
        c->returns = stack[1];
        return;
    }
    c->rax = spec->rax ? low_bytes(int_answer(h), spec->rax) | (cpu_junk_word & ~low_bytes(~0ul, spec->rax))
                       : cpu_junk_word;
    c->rdx = spec->rdx ? int_answer(rotate(h, 23)) : cpu_junk_word;
    float_answer(c->xmm0, h, spec->xmm0, spec->is_float);
    float_answer(c->xmm1, rotate(h, 19), spec->xmm1, spec->is_float);
}
static uint64_t ticks_in_stubs;
void record_call(void) {
    uint64_t began = __builtin_ia32_rdtsc();
    answer_call();
    ticks_in_stubs += __builtin_ia32_rdtsc() - began;
}
