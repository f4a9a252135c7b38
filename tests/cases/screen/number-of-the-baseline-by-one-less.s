verdict: accepted
result_bytes: 4
--- baseline
	xorl	%eax, %eax
	cmpl	$55295, %edi
	seta	%al
	ret
--- candidate
	cmpl	$55296, %edi
	setae	%al
	movzbl	%al, %eax
	ret
