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
	leaq	8(%rsp), %r10
	andq	$-32, %rsp
	pushq	-8(%r10)
	pushq	%rbp
	movq	%rsp, %rbp
	pushq	%r10
	subq	$40, %rsp
	movl	%esi, -40(%rbp)
	movl	-40(%rbp), %eax
	movq	-8(%rbp), %r10
	leave
	leaq	-8(%r10), %rsp
	ret
