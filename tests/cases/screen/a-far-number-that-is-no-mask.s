verdict: refuted far_bound
result_bytes: 4
--- baseline
	movdqu	(%rdi), %xmm0
	pcmpeqb	(%rsi), %xmm0
	xorl	%eax, %eax
	ret
--- candidate
	movdqu	(%rdi), %xmm0
	pcmpeqb	(%rsi), %xmm0
	pmovmskb	%xmm0, %edx
	movl	(%rdi), %edx
	xorl	%eax, %eax
	cmpl	$65535, %edx
	je	.L1
.L1:
	ret
