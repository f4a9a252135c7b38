"""gcc-llm on the compilers and systems that people have: `make check-compilers`."""
