verdict: accepted
protected: R8 R9 ZMM5
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
	xorl	%eax, %eax
	testl	%esi, %esi
	jle	.L1
.L3:
	addl	(%rdi), %eax
	addq	$4, %rdi
	subl	$1, %esi
	jne	.L3
.L1:
	ret
