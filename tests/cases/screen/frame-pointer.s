verdict: accepted
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
	pushq	%rbp
	movq	%rsp, %rbp
	subq	$64, %rsp
	movl	%esi, -4(%rbp)
	movl	-4(%rbp), %eax
	leave
	ret
