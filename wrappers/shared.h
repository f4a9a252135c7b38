/* Made by docs/generate.py from the tables in gccllm/base: what both sides have to agree on. */
enum { PUT_OFF_S = 86400, FIRST_VERIFIED = 11 }; /* seconds; gcc's first version that is worked on */

/* Options whose argument is, or may be, the next word. */
static const char *const with_argument[] = {
    "--assert", "--define-macro", "--entry", "--for-assembler", "--for-linker", "--force-link",
    "--imacros", "--include", "--include-directory", "--include-directory-after", "--include-prefix",
    "--include-with-prefix", "--include-with-prefix-after", "--include-with-prefix-before",
    "--language", "--library-directory", "--output", "--param", "--prefix", "--specs", "--sysroot",
    "--undefine-macro", "-A", "-B", "-D", "-F", "-I", "-L", "-MF", "-MJ", "-MQ", "-MT", "-T", "-Tbss",
    "-Tdata", "-Ttext", "-U", "-Xassembler", "-Xlinker", "-Xpreprocessor", "-aux-info", "-dumpbase",
    "-dumpbase-ext", "-dumpdir", "-e", "-h", "-idirafter", "-imacros", "-imultiarch", "-imultilib",
    "-include", "-iprefix", "-iquote", "-isysroot", "-isystem", "-iwithprefix", "-iwithprefixbefore",
    "-l", "-o", "-specs", "-u", "-wrapper", "-x", "-z"
};

/* Options that only name files: the same text compiled to another place is the same unit. */
static const char *const file_names[] = {
    "-MD", "-MF", "-MMD", "-MQ", "-MT", "-aux-info", "-dumpbase", "-dumpbase-ext", "-dumpdir", "-o"
};

/* What the launcher puts behind an -O option; the first only where it raises the level. */
static const char *const ours[] = {
    "-O3", "-fno-ipa-ra", "-fno-ipa-stack-alignment"
};
