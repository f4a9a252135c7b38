"""Bodies of functions of (int *p, int n), as a proposer writes them."""

SUM_ABOVE_3 = """
	xorl	%eax, %eax
	testl	%esi, %esi
	jle	.L1
	movslq	%esi, %rsi
	leaq	(%rdi,%rsi,4), %rdx
.L3:
	movl	(%rdi), %ecx
	leal	(%rax,%rcx), %r8d
	cmpl	$3, %ecx
	cmovg	%r8d, %eax
	addq	$4, %rdi
	cmpq	%rdx, %rdi
	jne	.L3
.L1:
	ret
"""
"""The sum of the numbers above 3."""

ABOVE_3 = """	movl	(%rdi), %ecx
	leal	(%rax,%rcx), %r8d
	cmpl	$3, %ecx
	cmovg	%r8d, %eax
"""
PLAIN_SUM = SUM_ABOVE_3.replace(ABOVE_3, "\taddl\t(%rdi), %eax\n")
"""The sum of all."""
