verdict: refuted vzeroupper
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
	vmovdqu	(%rdi), %ymm0
	vmovd	%xmm0, %eax
	ret
