/*
 * One test: lay down memory and registers, call, look at what is left.
 */
#pragma once

#define STUB_DISCOUNT 4

/* Neither pattern nor its complement is a canonical address. */
static uint64_t poison_word(unsigned n) {
    uint64_t word = (0x9e3779b97f4a7c15u * (n + 1) & 0x00ffffffffffffff) | 0xa500000000000000;
    return now.flags & FLAG_POISON ? ~word : word;
}
static void poison_bytes(void *at, size_t n) {
    for (size_t i = 0; i < n / 8; i++)
        ((uint64_t *)at)[i] = poison_word((unsigned)i + 64);
}
static void fill_memory(const struct test *t) {
    for (unsigned i = 0; i < t->arenas; i++) {
        uint64_t start = step(step(t->fill, i + 1), 7) >> 32 & (ARENA_BYTES - 8);
        memcpy((void *)arena_address(i), (uint8_t *)junk + start, ARENA_BYTES);
    }
    memcpy(image_data, pristine, image_data_bytes);
    const uint8_t *at = (const uint8_t *)(t + 1) + 8 * (size_t)t->stack_slots;
    for (unsigned i = 0; i < t->patches; i++) {
        const struct patch *p = (const struct patch *)at;
        memcpy((void *)p->address, p + 1, p->bytes);
        at += sizeof *p + (p->bytes + 7) / 8 * 8;
    }
    lay_down_pages(t);
    current = t;
}
/* Bits above the defined bytes: as given, or flipped under the second poison. */
static uint64_t defined(uint64_t word, unsigned bytes) {
    return now.flags & FLAG_POISON && bytes < 8 ? word ^ ~((1ul << 8 * bytes) - 1) : word;
}
static void fill_registers(const struct test *t) {
    uint64_t *ints[] = {&cpu_in.rdi, &cpu_in.rsi, &cpu_in.rdx, &cpu_in.rcx, &cpu_in.r8, &cpu_in.r9};
    uint64_t *dead[] = {&cpu_in.rax, &cpu_in.r10, &cpu_in.r11, &cpu_in.rbx, &cpu_in.rbp,
                        &cpu_in.r12, &cpu_in.r13, &cpu_in.r14, &cpu_in.r15};
    for (unsigned i = 0; i < 6; i++)
        *ints[i] = t->int_bytes[i] ? defined(t->ints[i], t->int_bytes[i]) : poison_word(i);
    for (unsigned i = 0; i < 9; i++)
        *dead[i] = poison_word(i + 6);
    memcpy(cpu_vectors, cpu_junk, sizeof cpu_vectors);
    for (unsigned i = 0; i < 8; i++)
        if (t->vector_bytes[i]) {
            uint64_t low = defined(t->vectors[i][0], t->vector_bytes[i]);
            uint64_t high =
                t->vectors[i][1] ^ (now.flags & FLAG_POISON && t->vector_bytes[i] < 16 ? ~0ul : 0);
            memcpy(cpu_vectors[i], &low, 8), memcpy(cpu_vectors[i] + 8, &high, 8);
        }
    cpu_in.flags = now.flags & FLAG_POISON ? 0x202 : 0xad7;
    cpu_in.mxcsr = t->mxcsr;
    cpu_in.x87_control = X87_DEFAULT | (t->mxcsr >> 13 & 3) << 10; /* the same rounding */
    cpu_in.rsp = STACK_ENTRY;
    cpu_in.entry = now.entry;
    uint64_t *stack = (uint64_t *)STACK_ENTRY;
    poison_bytes((void *)(STACK_ENTRY - 4096), 4096);
    poison_bytes(stack, STACK_END - STACK_ENTRY);
    stack[0] = (uint64_t)replay_landing;
    memcpy(stack + 1, t + 1, 8 * (size_t)t->stack_slots);
}
static uint32_t broken_rules(const struct test *t) {
    uint32_t bits = call_abi;
    bits |= cpu_out.rsp != STACK_ENTRY + 8 ? ABI_RSP : 0;
    bits |= cpu_out.rbx != cpu_in.rbx ? ABI_RBX : 0;
    bits |= cpu_out.rbp != cpu_in.rbp ? ABI_RBP : 0;
    bits |= cpu_out.r12 != cpu_in.r12 ? ABI_R12 : 0;
    bits |= cpu_out.r13 != cpu_in.r13 ? ABI_R13 : 0;
    bits |= cpu_out.r14 != cpu_in.r14 ? ABI_R14 : 0;
    bits |= cpu_out.r15 != cpu_in.r15 ? ABI_R15 : 0;
    bits |= cpu_out.flags & 0x400 ? ABI_DF : 0;
    bits |= (cpu_out.mxcsr ^ cpu_in.mxcsr) & ~0x3fu ? ABI_MXCSR : 0;
    bits |= (cpu_out.x87[0] & 0xffff) != cpu_in.x87_control ? ABI_X87_CONTROL : 0;
    unsigned occupied = 0;
    for (unsigned i = 0; i < 8; i++)
        occupied += (cpu_out.x87[2] >> 2 * i & 3) != 3;
    bits |= occupied != cpu_x87_results ? ABI_X87_STACK : 0;
    const uint64_t *frame = (const uint64_t *)STACK_ENTRY;
    for (size_t i = 1 + t->stack_slots; i < (STACK_END - STACK_ENTRY) / 8; i++)
        if (frame[i] != poison_word((unsigned)i + 64))
            bits |= ABI_CALLER_FRAME;
    return bits;
}
static uint32_t status_of(int number) {
    return number == SIGPROF ? STATUS_TIMEOUT : number == SIGSYS ? STATUS_SYSCALL : STATUS_FAULT;
}
/* For the stubs of library functions. They lie in a page that the function under test can write. */
static void set_threads(void) {
    *(uint64_t *)SLOT_OWN_THREAD = replay_own_thread;
    *(uint64_t *)SLOT_IMAGE_THREAD = replay_image_thread;
}
static void run_test(unsigned index) {
    const struct test *t = tests[index];
    struct observation *o = &shared->seen[index];
    if (now.give_up_after && shared->timeouts >= now.give_up_after) {
        o->status = STATUS_SKIPPED;
        return;
    }
    fill_memory(t);
    fill_registers(t);
    calls_digest[0] = calls_digest[1] = call_abi = calls_made = 0;
    moved_by = ticks_in_stubs = 0;
    fault_address = 0;
    set_threads();
    *(uint64_t *)SLOT_LOG = LOG_BASE + shared->log_used;
    o->log_start = o->log_end = shared->log_used;
    ticks_used = 0;
    if (sigsetjmp(back, 0) == 0) {
        running = 1;
        errno = ERRNO_BEFORE;
        replay_enter();
        o->error = (uint32_t)errno;
        running = 0;
        o->fp_flags = (cpu_out.mxcsr | cpu_out.x87[1]) & FP_FLAGS;
        o->abi = broken_rules(t);
        o->rax = cpu_out.rax, o->rdx = cpu_out.rdx;
        memcpy(o->xmm0, cpu_out.xmm0, 64);
        digest_memory(o->memory);
        memcpy(o->calls, calls_digest, sizeof o->calls);
        /* What a stub takes is our doing: it counts little, so that inputs with many calls are not too slow. */
        o->ticks = cpu_out.ended - cpu_out.started - ticks_in_stubs + ticks_in_stubs / STUB_DISCOUNT;
        o->status = o->abi ? STATUS_ABI : STATUS_OK;
    } else {
        running = 0;
        o->signal = (uint32_t)caught;
        o->fault = fault_address;
        o->status = status_of(caught);
        shared->timeouts += o->status == STATUS_TIMEOUT;
    }
    o->calls_made = calls_made;
    uint64_t end = *(uint64_t *)SLOT_LOG - LOG_BASE;
    if (now.flags & FLAG_TRACE && end > shared->log_used && end <= LOG_BYTES)
        o->log_end = shared->log_used = end;
}
