verdict: accepted
--- baseline
	subq	$8, %rsp
	call	helper
	addq	$8, %rsp
	ret
--- candidate
	subq	$24, %rsp
	call	helper
	movslq	%eax, %rax
	movb	$0, -1(%rsp,%rax)
	movzbl	(%rsp), %eax
	addq	$24, %rsp
	ret
