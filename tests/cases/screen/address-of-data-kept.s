verdict: accepted
--- baseline
	xorl	%eax, %eax
	leaq	table(%rip), %rcx
.L2:
	movzbl	(%rdi), %edx
	addl	(%rcx,%rdx,4), %eax
	addq	$1, %rdi
	cmpq	%rsi, %rdi
	jne	.L2
	ret
--- candidate
	xorl	%eax, %eax
	leaq	table(%rip), %rcx
	movq	%rcx, %r8
.L2:
	movzbl	(%rdi), %edx
	addl	(%r8,%rdx,4), %eax
	addq	$1, %rdi
	cmpq	%rsi, %rdi
	jne	.L2
	ret
