verdict: accepted
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
	pxor	%xmm1, %xmm1
	movd	%esi, %xmm0
	paddd	%xmm1, %xmm0
	movd	%xmm0, %eax
	ret
