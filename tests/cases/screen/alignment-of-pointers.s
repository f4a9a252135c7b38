verdict: accepted
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
	movq	%rdi, %rdx
	orq	%rsp, %rdx
	testb	$15, %dl
	je	.L1
	movl	%edi, %ecx
	andl	$4095, %ecx
	movq	%rdi, %r8
	shrq	$2, %r8
	negq	%r8
	andl	$3, %r8d
	xorl	%edx, %edx
	xorl	%r8d, %r8d
.L1:
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	subl	$1, %esi
	jne	.L2
	ret
