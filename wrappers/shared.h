/* Made by docs/generate.py from the tables in gccllm/base: what both sides have to agree on. */
enum { PUT_OFF_S = 86400, FIRST_VERIFIED = 11 }; /* seconds; gcc's first version that is worked on */
