verdict: refuted frame
--- baseline
	testl	%edi, %edi
	jle	.L9
	subq	$8, %rsp
	subl	$1, %edi
	call	target
	addl	$1, %eax
	addq	$8, %rsp
	ret
.L9:
	xorl	%eax, %eax
	ret
--- candidate
	testl	%edi, %edi
	jle	.L9
	subq	$104, %rsp
	subl	$1, %edi
	call	target
	addl	$1, %eax
	addq	$104, %rsp
	ret
.L9:
	xorl	%eax, %eax
	ret
