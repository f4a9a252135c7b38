verdict: refuted absolute_address
--- baseline
	movl	table(%rip), %eax
	addl	%esi, %eax
	ret
--- candidate
	movslq	%esi, %rsi
	movl	table(,%rsi,4), %eax
	ret
