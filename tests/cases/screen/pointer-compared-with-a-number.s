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
	movabsq	$0x620000000000, %r10
	cmpq	%r10, %rdi
	setb	%r10b
	movzbl	%r10b, %r10d
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	subl	$1, %esi
	jne	.L2
	addl	%r10d, %eax
	ret
