verdict: refuted ipa_clobber
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
	xorl	%r8d, %r8d
	testl	%esi, %esi
	jle	.L1
.L3:
	addl	(%rdi), %eax
	addq	$4, %rdi
	decl	%esi
	jne	.L3
.L1:
	ret
