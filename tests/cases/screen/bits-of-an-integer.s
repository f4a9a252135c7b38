verdict: accepted
--- baseline
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	subl	$1, %esi
	jne	.L2
	ret
--- candidate
	movq	%rdi, %r10
	shrq	$40, %r10
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	subl	$1, %esi
	jne	.L2
	addl	%r10d, %eax
	ret
