verdict: accepted
result_bytes: 4
--- baseline
	movzbl	(%rdi), %eax
	addb	1(%rdi), %al
	movzbl	%al, %eax
	ret
--- candidate
	movzbl	1(%rdi), %eax
	addb	(%rdi), %al
	movzbl	%al, %eax
	ret
