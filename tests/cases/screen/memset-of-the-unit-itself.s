verdict: refuted unknown_symbol
unit_functions: memset
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
	subq	$8, %rsp
	xorl	%edx, %edx
	call	memset@PLT
	addq	$8, %rsp
	ret
