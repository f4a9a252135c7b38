verdict: refuted red_zone
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
	movl	%esi, -136(%rsp)
	movl	-136(%rsp), %eax
	ret
