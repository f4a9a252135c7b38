verdict: refuted isa
max_level: 3
arguments: ZMM0
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
	vpaddd	%zmm0, %zmm0, %zmm0
	ret
