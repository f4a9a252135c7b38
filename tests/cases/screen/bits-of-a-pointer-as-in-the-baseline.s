verdict: accepted
pointers: RDI
--- baseline
	movq	%rdi, %rax
	shrq	$4, %rax
	xorl	%edi, %eax
	ret
--- candidate
	movl	%edi, %eax
	shrq	$4, %rdi
	xorl	%edi, %eax
	ret
