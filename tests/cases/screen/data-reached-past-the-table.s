verdict: refuted unknown_symbol
--- baseline
	movq	table@GOTPCREL(%rip), %rax
	movl	(%rax), %eax
	ret
--- candidate
	movl	table(%rip), %eax
	ret
