verdict: refuted hardening
--- baseline
	pushq	%rbp
	movq	%rsp, %rbp
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	cmpq	%rsi, %rdi
	jne	.L2
	popq	%rbp
	ret
--- candidate
	xorl	%eax, %eax
.L2:
	movl	(%rdi), %edx
	addl	%edx, %eax
	addq	$4, %rdi
	cmpq	%rdi, %rsi
	jne	.L2
	ret
