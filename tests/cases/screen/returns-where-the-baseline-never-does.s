verdict: refuted hardening
hardening: traps
--- baseline
	jmp	other
--- candidate
	subq	$8, %rsp
	call	other
	addq	$8, %rsp
	ret
