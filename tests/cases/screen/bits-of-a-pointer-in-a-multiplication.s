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
	imulq	$257, %rdi, %r10
	movq	%r10, %rdx
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	subl	$1, %esi
	jne	.L2
	cmpq	%rdx, %rax
	setb	%dl
	movzbl	%dl, %edx
	addl	%edx, %eax
	ret
