"""`gccllm`: a file for each group of subcommands."""
