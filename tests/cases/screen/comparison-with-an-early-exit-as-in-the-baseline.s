verdict: accepted
--- baseline
	xorl	%eax, %eax
	xorl	%ecx, %ecx
.L2:
	movzbl	(%rdi,%rcx), %r8d
	cmpb	(%rsi,%rcx), %r8b
	jne	.L4
	addq	$1, %rcx
	cmpq	%rdx, %rcx
	jne	.L2
	ret
.L4:
	movl	$1, %eax
	ret
--- candidate
	xorl	%eax, %eax
	xorl	%ecx, %ecx
.L2:
	movzbl	(%rdi,%rcx), %r8d
	xorb	(%rsi,%rcx), %r8b
	je	.L3
	movl	$1, %eax
.L3:
	addq	$1, %rcx
	cmpq	%rdx, %rcx
	jne	.L2
	ret
