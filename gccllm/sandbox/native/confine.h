/*
 * The confinement of the child that runs untrusted code, and its signal handler.
 *
 * Left to it: returning from a signal handler, and leaving by replay_exit(). Everything else traps.
 */
#pragma once

static void on_signal(int number, siginfo_t *info, void *context) {
    /* A handler finds FS_BASE as it was, and the way back leaves it as it is. */
    uint64_t found = replay_image_thread ? fs_base() : 0;
    if (found)
        set_fs_base(replay_own_thread);
    (void)context;
    if (number == SIGPROF && (!running || ++ticks_used <= ticks_allowed)) {
        if (found)
            set_fs_base(found);
        return;
    }
    if (!running)
        replay_exit(70);
    fault_address = (uint64_t)info->si_addr;
    leave_test(number);
}

static int is_confined(unsigned cpu_seconds, int tick_ms) {
    static uint8_t signal_stack[1 << 16];
    static const int watched[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGPROF};
    uint64_t leave = (uint64_t)replay_exit_done;
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 8),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)leave, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(leave >> 32), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    stack_t alternate = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    struct itimerval tick = {{0, tick_ms * 1000}, {0, tick_ms * 1000}};
    const struct {
        int what;
        rlim_t limit;
    } limits[] = {
        {RLIMIT_AS, 1ul << 30}, {RLIMIT_FSIZE, 0},  {RLIMIT_NPROC, 0},
        {RLIMIT_CORE, 0},       {RLIMIT_NOFILE, 0}, {RLIMIT_CPU, cpu_seconds},
    };
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || prctl(PR_SET_DUMPABLE, 0))
        return 0;
    if (syscall(SYS_close_range, 0, ~0u, 0))
        for (int fd = 0; fd < 4096; fd++) /* an older kernel; this program opens a handful */
            close(fd);
    for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++)
        if (setrlimit(limits[i].what, &(struct rlimit){limits[i].limit, limits[i].limit}))
            return 0;
    if (sigaltstack(&alternate, 0))
        return 0;
    for (unsigned i = 0; i < sizeof watched / sizeof *watched; i++)
        if (sigaction(watched[i], &action, 0))
            return 0;
    if (mprotect(payload, PAYLOAD_BYTES, PROT_READ) || setitimer(ITIMER_PROF, &tick, 0))
        return 0;
    for (unsigned i = arenas_in_use; i < ARENAS; i++)
        if (mprotect((void *)arena_address(i), ARENA_BYTES, PROT_NONE))
            return 0;
    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
