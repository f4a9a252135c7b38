verdict: accepted
pointers: RDI RSI
--- baseline
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	cmpq	%rsi, %rdi
	jne	.L2
	ret
--- candidate
	movq	%rsi, %rdx
	subq	%rdi, %rdx
	shrq	$2, %rdx
	notq	%rdi
	addq	%rdi, %rsi
	notq	%rdi
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	decl	%edx
	jne	.L2
	ret
