	xorl	%eax, %eax
	testl	%esi, %esi
	jle	.L1
	movl	%esi, %ecx
	movl	%esi, %edx
	pxor	%xmm0, %xmm0
	shrl	$3, %edx
	je	.L4
	pcmpeqd	%xmm4, %xmm4
	pxor	%xmm1, %xmm1
	salq	$5, %rdx
	pslld	$31, %xmm4
	addq	%rdi, %rdx
	pxor	%xmm5, %xmm5
	pxor	%xmm6, %xmm6
.L3:
	movdqu	(%rdi), %xmm2
	movdqu	16(%rdi), %xmm3
	addq	$32, %rdi
	pxor	%xmm4, %xmm2
	pxor	%xmm4, %xmm3
	paddq	%xmm2, %xmm0
	psrlq	$32, %xmm2
	paddq	%xmm3, %xmm5
	paddq	%xmm2, %xmm1
	psrlq	$32, %xmm3
	paddq	%xmm3, %xmm6
	cmpq	%rdx, %rdi
	jne	.L3
	paddq	%xmm6, %xmm1
	paddq	%xmm5, %xmm0
	movdqa	%xmm1, %xmm2
	andl	$-8, %esi
	psllq	$32, %xmm2
	salq	$31, %rsi
	psubq	%xmm2, %xmm0
	paddq	%xmm1, %xmm0
	movdqa	%xmm0, %xmm1
	psrldq	$8, %xmm1
	paddq	%xmm1, %xmm0
	movq	%xmm0, %rax
	subq	%rsi, %rax
.L4:
	andl	$7, %ecx
	je	.L1
	leaq	(%rdi,%rcx,4), %rcx
.L5:
	movslq	(%rdi), %rdx
	addq	$4, %rdi
	addq	%rdx, %rax
	cmpq	%rcx, %rdi
	jne	.L5
.L1:
	ret
