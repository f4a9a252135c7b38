verdict: refuted callee_saved
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
	pushq	%rbx
	pushq	%rbp
	movl	%esi, %ebx
	xorl	%ebp, %ebp
	movl	%ebx, %eax
	popq	%rbx
	popq	%rbp
	ret
