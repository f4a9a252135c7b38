/*
 * The way into the function under test and back: every register set, every register read.
 *
 * replay_enter     loads `cpu_in` and jumps; `replay_landing`, the function's return address, stores into `cpu_out`
 * replay_log_call  where stubs of other units' functions jump, their number pushed; answers from record_call(), or goes on
 *                  to the function itself, which returns to replay_returned: that overwrites what a call may clobber
 * replay_poison    where stubs of library functions jump afterwards, to overwrite what a call may clobber
 * replay_exit      the only system call exit_group that the sandbox lets pass
 *
 * An image with thread-local data runs with FS_BASE at its own thread pointer; any C of this program, and of its library,
 * with that of this program: what enters the image sets the one, and whatever comes back (a return, a stub, a signal)
 * the other before anything else.
 *
 * Everything is addressed relative to rip: no register is free between load and jump.
 */
#pragma once
#include <stdint.h>

/* Field order is known to the assembly below. */
struct cpu {
  uint64_t rdi, rsi, rdx, rcx, r8, r9;         /* 0 .. 40 */
  uint64_t rax, r10, r11;                      /* 48 56 64 */
  uint64_t rbx, rbp, r12, r13, r14, r15;       /* 72 .. 112 */
  uint64_t rsp, entry, flags;                  /* 120 128 136 */
  uint64_t started, ended;                     /* 144 152 */
  uint64_t xmm0[2], xmm1[2], st0[2], st1[2];   /* 160 176 192 208 */
  uint32_t mxcsr, x87_control;                 /* 224 228 */
  uint32_t x87[8];                             /* 232: what fnstenv stores */
};
__attribute__((visibility("hidden"))) struct cpu cpu_in, cpu_out;
/* Vector registers at entry, and what stubs leave in them; 0: SSE, 1: AVX, 2: AVX-512 F and BW. */
__attribute__((visibility("hidden"), aligned(64))) uint8_t cpu_vectors[32][64], cpu_junk[32][64];
__attribute__((visibility("hidden"))) uint64_t cpu_junk_word;
__attribute__((visibility("hidden"))) uint32_t cpu_vector_level, cpu_x87_results, cpu_plain_calls;
__attribute__((visibility("hidden"))) uint64_t replay_saved_rsp;
__attribute__((visibility("hidden"))) uint32_t replay_mxcsr = MXCSR_DEFAULT;
/* FS_BASE of this program and of the image; the latter 0: it has no thread-local data, and FS_BASE is never changed. */
__attribute__((visibility("hidden"))) uint64_t replay_own_thread, replay_image_thread;

struct call {
  uint64_t ints[6];      /* 0 */
  uint64_t rsp;          /* 48: points at the stub's number, then the return address, then stack arguments */
  uint64_t flags;        /* 56 */
  uint64_t xmm[8][2];    /* 64 */
  uint64_t rax, rdx;     /* 192 200 */
  uint64_t xmm0[2], xmm1[2]; /* 208 224 */
  uint64_t target, returns;  /* 240: the function itself, if it is to run; 248: where it then returns to */
  uint64_t mxcsr;            /* 256: the caller's: this program's own C neither sees its modes nor leaves flags in it */
};
__attribute__((visibility("hidden"))) struct call call_frame;
__attribute__((visibility("hidden"), aligned(64))) uint8_t call_stack[1 << 16];
__attribute__((visibility("hidden"), used)) void record_call(void);

#pragma GCC visibility push(hidden)
void replay_enter(void);
extern char replay_landing[], replay_log_call[], replay_returned[], replay_poison[], replay_exit_done[];
__attribute__((noreturn)) void replay_exit(int code);
#pragma GCC visibility pop

static inline uint64_t fs_base(void) {
  uint64_t base;
  asm volatile("rdfsbase %0" : "=r"(base));
  return base;
}
static inline void set_fs_base(uint64_t base) { asm volatile("wrfsbase %0" : : "r"(base) : "memory"); }

/* Changes r11 and flags. */
#define FS(name) " cmpq $0,replay_image_thread(%rip)\n je 9f\n mov " #name "(%rip),%r11\n wrfsbase %r11\n9:\n"
#define Z(n) " vmovdqu64 64*" #n "(%r11),%zmm" #n "\n"
#define Y(n) " vmovdqu 64*" #n "(%r11),%ymm" #n "\n"
#define S(n) " movups 64*" #n "(%r11),%xmm" #n "\n"
#define K(n) " kmovq 64*" #n "+8(%r11),%k" #n "\n"
#define LOW(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15)
#define HIGH(M) M(16) M(17) M(18) M(19) M(20) M(21) M(22) M(23) M(24) M(25) M(26) M(27) M(28) M(29) M(30) M(31)
#define MASKS(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)

asm(".text\n"
    ".globl replay_enter,replay_landing,replay_log_call,replay_returned,replay_poison,replay_exit,replay_exit_done\n"
    ".hidden replay_enter,replay_landing,replay_log_call,replay_returned,replay_poison,replay_exit,replay_exit_done\n"
    /* Fills the vector registers from the table that r11 points at. */
    "load_vectors:\n"
    " cmpl $1,cpu_vector_level(%rip)\n jb 1f\n je 2f\n" LOW(Z) HIGH(Z) MASKS(K) " ret\n"
    "1:\n" LOW(S) " ret\n"
    "2:\n" LOW(Y) " ret\n"

    "replay_enter:\n"
    " push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    " mov %rsp,replay_saved_rsp(%rip)\n"
    FS(replay_image_thread)
    " fninit\n fldcw cpu_in+228(%rip)\n ldmxcsr cpu_in+224(%rip)\n"
    " lea cpu_vectors(%rip),%r11\n cmpl $0,cpu_plain_calls(%rip)\n jne 4f\n call load_vectors\n jmp 5f\n"
    "4:\n" S(0) S(1) S(2) S(3) S(4) S(5) S(6) S(7)
    "5: pushq cpu_in+136(%rip)\n popfq\n"
    " lfence\n rdtsc\n mov %eax,cpu_out+144(%rip)\n mov %edx,cpu_out+148(%rip)\n"
    " mov cpu_in(%rip),%rdi\n mov cpu_in+8(%rip),%rsi\n mov cpu_in+16(%rip),%rdx\n mov cpu_in+24(%rip),%rcx\n"
    " mov cpu_in+32(%rip),%r8\n mov cpu_in+40(%rip),%r9\n mov cpu_in+48(%rip),%rax\n mov cpu_in+56(%rip),%r10\n"
    " mov cpu_in+64(%rip),%r11\n mov cpu_in+72(%rip),%rbx\n mov cpu_in+80(%rip),%rbp\n mov cpu_in+88(%rip),%r12\n"
    " mov cpu_in+96(%rip),%r13\n mov cpu_in+104(%rip),%r14\n mov cpu_in+112(%rip),%r15\n"
    " mov cpu_in+120(%rip),%rsp\n jmp *cpu_in+128(%rip)\n"

    "replay_landing:\n"
    " mov %rax,cpu_out+48(%rip)\n mov %rdx,cpu_out+16(%rip)\n"
    " rdtscp\n lfence\n mov %eax,cpu_out+152(%rip)\n mov %edx,cpu_out+156(%rip)\n"
    " mov %rbx,cpu_out+72(%rip)\n mov %rbp,cpu_out+80(%rip)\n mov %r12,cpu_out+88(%rip)\n mov %r13,cpu_out+96(%rip)\n"
    " mov %r14,cpu_out+104(%rip)\n mov %r15,cpu_out+112(%rip)\n mov %rsp,cpu_out+120(%rip)\n"
    " mov replay_saved_rsp(%rip),%rsp\n pushfq\n popq cpu_out+136(%rip)\n cld\n"
    FS(replay_own_thread)
    " movups %xmm0,cpu_out+160(%rip)\n movups %xmm1,cpu_out+176(%rip)\n"
    " stmxcsr cpu_out+224(%rip)\n fnstenv cpu_out+232(%rip)\n"
    " cmpl $1,cpu_x87_results(%rip)\n jb 1f\n fstpt cpu_out+192(%rip)\n je 1f\n fstpt cpu_out+208(%rip)\n"
    "1: fninit\n ldmxcsr replay_mxcsr(%rip)\n cmpl $0,cpu_vector_level(%rip)\n je 1f\n vzeroupper\n"
    "1: pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n"

    "replay_log_call:\n"
    " mov %rdi,call_frame(%rip)\n mov %rsi,call_frame+8(%rip)\n mov %rdx,call_frame+16(%rip)\n"
    " mov %rcx,call_frame+24(%rip)\n mov %r8,call_frame+32(%rip)\n mov %r9,call_frame+40(%rip)\n"
    " mov %rsp,call_frame+48(%rip)\n"
    " movups %xmm0,call_frame+64(%rip)\n movups %xmm1,call_frame+80(%rip)\n movups %xmm2,call_frame+96(%rip)\n"
    " movups %xmm3,call_frame+112(%rip)\n movups %xmm4,call_frame+128(%rip)\n movups %xmm5,call_frame+144(%rip)\n"
    " movups %xmm6,call_frame+160(%rip)\n movups %xmm7,call_frame+176(%rip)\n"
    " mov %rax,call_frame+192(%rip)\n"
    " lea call_stack+65536(%rip),%rsp\n pushfq\n popq call_frame+56(%rip)\n cld\n"
    " stmxcsr call_frame+256(%rip)\n ldmxcsr replay_mxcsr(%rip)\n"
    FS(replay_own_thread) " call record_call\n" FS(replay_image_thread)
    " ldmxcsr call_frame+256(%rip)\n"
    " mov call_frame+48(%rip),%rsp\n add $8,%rsp\n"
    " cmpq $0,call_frame+240(%rip)\n jne 3f\n"
    " cmpl $0,cpu_plain_calls(%rip)\n jne 1f\n"
    " lea cpu_junk(%rip),%r11\n call load_vectors\n"
    " mov cpu_junk_word(%rip),%rcx\n mov %rcx,%rsi\n mov %rcx,%rdi\n mov %rcx,%r8\n mov %rcx,%r9\n mov %rcx,%r10\n"
    "1: movups call_frame+208(%rip),%xmm0\n movups call_frame+224(%rip),%xmm1\n"
    " mov call_frame+192(%rip),%rax\n mov call_frame+200(%rip),%rdx\n mov cpu_junk_word(%rip),%r11\n ret\n"
    /* The function itself: all that it may read as it was, but where it returns to. */
    "3: lea replay_returned(%rip),%r11\n mov %r11,(%rsp)\n"
    " mov call_frame(%rip),%rdi\n mov call_frame+8(%rip),%rsi\n mov call_frame+16(%rip),%rdx\n"
    " mov call_frame+24(%rip),%rcx\n mov call_frame+32(%rip),%r8\n mov call_frame+40(%rip),%r9\n"
    " movups call_frame+64(%rip),%xmm0\n movups call_frame+80(%rip),%xmm1\n movups call_frame+96(%rip),%xmm2\n"
    " movups call_frame+112(%rip),%xmm3\n movups call_frame+128(%rip),%xmm4\n movups call_frame+144(%rip),%xmm5\n"
    " movups call_frame+160(%rip),%xmm6\n movups call_frame+176(%rip),%xmm7\n"
    " mov call_frame+192(%rip),%rax\n mov cpu_junk_word(%rip),%r10\n mov %r10,%r11\n jmp *call_frame+240(%rip)\n"
    "replay_returned:\n"
    " mov call_frame+248(%rip),%r11\n mov %r11,0x10000000\n"
    /* rax, rdx, xmm0 and xmm1 may hold the answer. */
    " movups %xmm0,call_frame+208(%rip)\n movups %xmm1,call_frame+224(%rip)\n"
    " lea cpu_junk(%rip),%r11\n call load_vectors\n"
    " movups call_frame+208(%rip),%xmm0\n movups call_frame+224(%rip),%xmm1\n"
    " mov cpu_junk_word(%rip),%rcx\n mov %rcx,%rsi\n mov %rcx,%rdi\n mov %rcx,%r8\n mov %rcx,%r9\n mov %rcx,%r10\n"
    " mov %rcx,%r11\n jmp *0x10000000\n"

    /* rax, rdx, xmm0 and xmm1 may hold the answer. The return address waits in the control page. */
    "replay_poison:\n"
    " movups %xmm0,call_frame+208(%rip)\n movups %xmm1,call_frame+224(%rip)\n"
    " lea cpu_junk(%rip),%r11\n call load_vectors\n"
    " movups call_frame+208(%rip),%xmm0\n movups call_frame+224(%rip),%xmm1\n"
    " mov cpu_junk_word(%rip),%rcx\n mov %rcx,%rsi\n mov %rcx,%rdi\n mov %rcx,%r8\n mov %rcx,%r9\n mov %rcx,%r10\n"
    " mov %rcx,%r11\n jmp *0x10000000\n"

    "replay_exit:\n mov $231,%eax\n syscall\nreplay_exit_done:\n ud2\n");
