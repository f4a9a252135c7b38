verdict: refuted address_bits
pointers: RDI
--- baseline
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	subl	$1, %esi
	jne	.L2
	ret
--- candidate
	movq	%rdi, -8(%rsp)
	movl	-4(%rsp), %r10d
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	subl	$1, %esi
	jne	.L2
	addl	%r10d, %eax
	ret
