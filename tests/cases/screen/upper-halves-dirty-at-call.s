verdict: refuted vzeroupper
--- baseline
	subq	$8, %rsp
	call	helper
	addq	$8, %rsp
	ret
--- candidate
	subq	$8, %rsp
	vpxor	%xmm0, %xmm0, %xmm0
	vinserti128	$1, %xmm0, %ymm0, %ymm0
	call	helper
	vzeroupper
	addq	$8, %rsp
	ret
