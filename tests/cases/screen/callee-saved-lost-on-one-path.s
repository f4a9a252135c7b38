verdict: refuted callee_saved
--- baseline
	xorl	%eax, %eax
	testl	%esi, %esi
	jle	.L1
.L3:
	addl	(%rdi), %eax
	addq	$4, %rdi
	decl	%esi
	jne	.L3
.L1:
	ret
--- candidate
	pushq	%rbx
	movl	%esi, %ebx
	testl	%esi, %esi
	je	.L2
	movl	%ebx, %eax
	popq	%rbx
	ret
.L2:
	xorl	%eax, %eax
	addq	$8, %rsp
	ret
