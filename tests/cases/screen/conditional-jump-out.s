verdict: refuted branch_target
--- baseline
	movl	%edi, %edi
	subq	$8, %rsp
	call	helper
	addq	$8, %rsp
	ret
--- candidate
	testl	%edi, %edi
	je	helper
	xorl	%eax, %eax
	ret
