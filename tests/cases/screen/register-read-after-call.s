verdict: refuted dead_read
--- baseline
	subq	$8, %rsp
	call	helper
	addq	$8, %rsp
	ret
--- candidate
	subq	$8, %rsp
	movl	%edi, %ecx
	call	helper
	addl	%ecx, %eax
	addq	$8, %rsp
	ret
