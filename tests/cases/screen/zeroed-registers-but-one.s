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
	movl	(%rdi), %edx
	addl	%edx, %eax
	addq	$4, %rdi
	cmpq	%rdi, %rsi
	jne	.L2
	xorl	%esi, %esi
	xorl	%edi, %edi
	ret
