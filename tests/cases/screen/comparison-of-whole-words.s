verdict: accepted
--- baseline
	xorl	%eax, %eax
	xorl	%ecx, %ecx
.L2:
	movzbl	(%rdi,%rcx), %r8d
	xorb	(%rsi,%rcx), %r8b
	orl	%r8d, %eax
	addq	$1, %rcx
	cmpq	%rdx, %rcx
	jne	.L2
	testb	%al, %al
	setne	%al
	movzbl	%al, %eax
	ret
--- candidate
	xorl	%eax, %eax
	movl	$0, %ecx
.L2:
	movzbl	(%rdi,%rcx), %r8d
	xorb	(%rsi,%rcx), %r8b
	orl	%r8d, %eax
	addq	$1, %rcx
	cmpq	%rdx, %rcx
	jne	.L2
	testb	%al, %al
	setne	%al
	movzbl	%al, %eax
	ret
