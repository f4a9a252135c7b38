verdict: refuted stack_depth
--- baseline
	subq	$8, %rsp
	call	helper
	addq	$8, %rsp
	ret
--- candidate
	call	helper
	ret
