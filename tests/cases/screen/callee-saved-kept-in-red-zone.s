verdict: accepted
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
	movq	%rbx, -8(%rsp)
	movl	%esi, %ebx
	movl	%ebx, %eax
	movq	-8(%rsp), %rbx
	ret
