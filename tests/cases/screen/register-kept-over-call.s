verdict: accepted
--- baseline
	movl	%edi, %edi
	subq	$8, %rsp
	call	helper
	addq	$8, %rsp
	ret
--- candidate
	pushq	%rbx
	movl	%edi, %ebx
	call	helper
	addl	%ebx, %eax
	popq	%rbx
	ret
