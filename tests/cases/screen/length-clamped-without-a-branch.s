verdict: refuted far_bound
result_bytes: 4
--- baseline
	xorl	%eax, %eax
	testq	%rsi, %rsi
	jle	.L1
	leaq	(%rdi,%rsi,4), %rdx
.L3:
	addl	(%rdi), %eax
	addq	$4, %rdi
	cmpq	%rdi, %rdx
	jne	.L3
.L1:
	ret
--- candidate
	movl	$60000, %r11d
	cmpq	%r11, %rsi
	cmovg	%r11, %rsi
	xorl	%eax, %eax
	testq	%rsi, %rsi
	jle	.L1
	leaq	(%rdi,%rsi,4), %rdx
.L3:
	addl	(%rdi), %eax
	addq	$4, %rdi
	cmpq	%rdi, %rdx
	jne	.L3
.L1:
	ret
