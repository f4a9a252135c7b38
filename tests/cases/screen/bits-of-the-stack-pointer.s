verdict: refuted address_bits
--- baseline
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	subl	$1, %esi
	jne	.L2
	ret
--- candidate
	movq	%rsp, %r10
	shrq	$40, %r10
	xorl	$98, %r10d
	negl	%r10d
	sbbl	%r10d, %r10d
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	subl	$1, %esi
	jne	.L2
	addl	%r10d, %eax
	ret
