verdict: accepted
result_bytes: 4
--- baseline
	xorl	%eax, %eax
.L2:
	movzbl	(%rdi), %edx
	addq	%rdx, %rax
	addq	$1, %rdi
	cmpq	%rsi, %rdi
	jne	.L2
	ret
--- candidate
	xorl	%eax, %eax
.L2:
	movzbl	(%rdi), %edx
	addl	%edx, %eax
	addq	$1, %rdi
	cmpq	%rsi, %rdi
	jne	.L2
	ret
