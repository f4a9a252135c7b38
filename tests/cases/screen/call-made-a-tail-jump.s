verdict: refuted branch_target
--- baseline
	subq	$8, %rsp
	call	other
	addq	$8, %rsp
	ret
--- candidate
	jmp	other
