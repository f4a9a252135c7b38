verdict: refuted narrow
result_bytes: 4
--- baseline
	movzbl	(%rdi), %eax
	movzbl	1(%rdi), %edx
	addl	%edx, %eax
	movzbl	2(%rdi), %edx
	addl	%edx, %eax
	ret
--- candidate
	movzbl	(%rdi), %eax
	movzbl	1(%rdi), %edx
	addw	%dx, %ax
	movzbl	2(%rdi), %edx
	addw	%dx, %ax
	ret
