verdict: refuted control_word
--- baseline
	xorl	%eax, %eax
	testl	%esi, %esi
	jle	.L1
.L3:
	addl	(%rdi), %eax
	addq	$4, %rdi
	decl	%esi
	jne	.L3
.L1:
	ret
--- candidate
	movl	%esi, -4(%rsp)
	ldmxcsr	-4(%rsp)
	movl	%esi, %eax
	ret
