verdict: accepted
--- baseline
	addq	$1, %rdi
	jmp	other
--- candidate
	leaq	1(%rdi), %rdi
	jmp	other
