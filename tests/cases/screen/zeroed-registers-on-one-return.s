verdict: refuted hardening
--- baseline
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	cmpq	%rsi, %rdi
	jne	.L2
	xorl	%esi, %esi
	xorl	%edi, %edi
	ret
--- candidate
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	cmpq	%rsi, %rdi
	jne	.L2
	testl	%eax, %eax
	jne	.L5
	xorl	%esi, %esi
	xorl	%edi, %edi
	ret
.L5:
	xorl	%edi, %edi
	ret
