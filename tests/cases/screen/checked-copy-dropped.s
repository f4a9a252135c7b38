verdict: refuted hardening
--- baseline
	subq	$8, %rsp
	call	__memcpy_chk@PLT
	addq	$8, %rsp
	ret
--- candidate
	xorl	%eax, %eax
	ret
