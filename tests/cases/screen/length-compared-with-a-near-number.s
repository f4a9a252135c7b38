verdict: accepted
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
	cmpq	$31, %rsi
	jg	.L3b
.L3b:
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
