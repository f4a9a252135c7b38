verdict: refuted frame
--- baseline
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	cmpq	%rsi, %rdi
	jne	.L2
	ret
--- candidate
	pushq	%rbp
	movq	%rsp, %rbp
	leaq	-8192(%rsp), %rdx
	movq	%rdx, %rsp
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	cmpq	%rsi, %rdi
	jne	.L2
	leave
	ret
