verdict: accepted
--- baseline
	movl	table(,%rsi,4), %eax
	ret
--- candidate
	movslq	%esi, %rsi
	movl	table(,%rsi,4), %eax
	ret
