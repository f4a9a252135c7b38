verdict: accepted
--- baseline
	movq	table@GOTPCREL(%rip), %rax
	movl	(%rax), %eax
	ret
--- candidate
	movq	table@GOTPCREL(%rip), %rax
	movl	(%rax), %eax
	addl	%eax, %eax
	ret
