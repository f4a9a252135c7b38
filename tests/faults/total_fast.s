	xorl	%eax, %eax
	testl	%esi, %esi
	jle	.L1
	cmpl	$15, %esi
	jle	.L7
	leal	-16(%rsi), %edx
	vpxor	%xmm3, %xmm3, %xmm3
	movq	%rdi, %rax
	shrl	$4, %edx
	vmovdqa64	%zmm3, %zmm2
	movl	%edx, %ecx
	salq	$6, %rcx
	leaq	64(%rdi,%rcx), %rcx
.L4:
	vpmovsxdq	(%rax), %zmm0
	vpmovsxdq	32(%rax), %zmm1
	addq	$64, %rax
	vpaddq	%zmm2, %zmm0, %zmm0
	vpaddq	%zmm3, %zmm1, %zmm1
	vmovdqa64	%zmm0, %zmm2
	vmovdqa64	%zmm1, %zmm3
	cmpq	%rax, %rcx
	jne	.L4
	addl	$1, %edx
	sall	$4, %edx
	cmpl	%esi, %edx
	jl	.L10
.L5:
	vpaddq	%zmm1, %zmm0, %zmm0
	vextracti64x4	$0x1, %zmm0, %ymm1
	vpaddq	%ymm0, %ymm1, %ymm1
	vextracti64x2	$0x1, %ymm1, %xmm0
	vpaddq	%xmm1, %xmm0, %xmm0
	vmovq	%xmm0, %rax
	vpextrq	$1, %xmm0, %rdx
	addq	%rdx, %rax
	vzeroupper
.L1:
	ret
.L10:
	subl	%edx, %esi
	movslq	%edx, %rdx
	leaq	(%rdi,%rdx,4), %rdi
.L3:
	movl	$1, %eax
	shlx	%esi, %eax, %eax
	subl	$1, %eax
	kmovw	%eax, %k1
	vmovdqu32	(%rdi), %zmm2{%k1}{z}
	vpmovsxdq	%ymm2, %zmm3
	vextracti64x4	$0x1, %zmm2, %ymm2
	vpmovsxdq	%ymm2, %zmm2
	vpaddq	%zmm3, %zmm0, %zmm0
	vpaddq	%zmm2, %zmm1, %zmm1
	jmp	.L5
.L7:
	vpxor	%xmm0, %xmm0, %xmm0
	vmovdqa64	%zmm0, %zmm1
	jmp	.L3
