verdict: refuted address_bits
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
	movl	%ecx, %ecx
.L2:
	movzbl	(%rdi), %edx
	addl	(%rcx,%rdx,4), %eax
	addq	$1, %rdi
	cmpq	%rsi, %rdi
	jne	.L2
	ret
