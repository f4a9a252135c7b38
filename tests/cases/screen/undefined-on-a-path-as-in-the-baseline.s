verdict: accepted
--- baseline
	testl	%esi, %esi
	je	.L1
	movl	%edi, %eax
.L1:
	testl	%edi, %edi
	je	.L2
	addl	$1, %eax
	ret
.L2:
	xorl	%eax, %eax
	ret
--- candidate
	testl	%esi, %esi
	je	.L1
	movl	%edi, %eax
.L1:
	testl	%edi, %edi
	je	.L2
	addl	$2, %eax
	ret
.L2:
	xorl	%eax, %eax
	ret
