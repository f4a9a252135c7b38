verdict: refuted branch_target
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
	cmpl	$1, %esi
	ja	.L9
	leaq	.LT(%rip), %rdx
	movl	%esi, %esi
	movslq	(%rdx,%rsi,2), %rax
	addq	%rdx, %rax
	jmp	*%rax
.L7:
	movl	$7, %eax
	ret
.L8:
	movl	$8, %eax
	ret
.L9:
	xorl	%eax, %eax
	ret
	.section	.rodata
	.align	4
.LT:
	.long	.L7-.LT
	.long	.L8-.LT
