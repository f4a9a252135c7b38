verdict: refuted red_zone
--- baseline
	subq	$8, %rsp
	call	helper
	addq	$8, %rsp
	ret
--- candidate
	subq	$8, %rsp
	movl	%edi, -16(%rsp)
	call	helper
	addl	-16(%rsp), %eax
	addq	$8, %rsp
	ret
