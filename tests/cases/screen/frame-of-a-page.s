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
	subq	$4104, %rsp
	xorl	%eax, %eax
.L2:
	movl	(%rdi), %edx
	addl	%edx, %eax
	addq	$4, %rdi
	cmpq	%rdi, %rsi
	jne	.L2
	addq	$4104, %rsp
	ret
