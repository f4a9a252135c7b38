verdict: accepted
--- baseline
	xorl	%eax, %eax
.L2:
	addl	(%rdi), %eax
	addq	$4, %rdi
	cmpq	%rsi, %rdi
	jne	.L2
	xorl	%ecx, %ecx
	testl	%eax, %eax
	cmovs	%ecx, %eax
	ret
--- candidate
	xorl	%eax, %eax
.L2:
	movl	(%rdi), %edx
	addl	%edx, %eax
	addq	$4, %rdi
	cmpq	%rdi, %rsi
	jne	.L2
	movl	%eax, %ecx
	notl	%ecx
	sarl	$31, %ecx
	andl	%ecx, %eax
	ret
