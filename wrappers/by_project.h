/* Made by docs/generate.py from the table in gccllm/base/config.py: what a project's gccllm.toml may set. */
static const struct by_project {
    const char *name;
    int is_inside; /* a relative path below the project's directory */
    const char *words[5]; /* when there are any: one of these; NULL at the end */
} by_project[] = {
    {"mode", 0, {"inline", "queue", "cached", "off"}},
    {"budget", 0, {}},
    {"build_budget", 0, {}},
    {"progress", 0, {}},
    {"proposers", 0, {}},
    {"samples", 0, {}},
    {"refinements", 0, {}},
    {"isa", 0, {"baseline", "guarded"}},
    {"opt", 0, {}},
    {"strict", 0, {}},
    {"exclude", 0, {}},
    {"include", 0, {}},
    {"only", 0, {}},
    {"profile", 1, {}},
    {"max_functions", 0, {}},
    {"max_instructions", 0, {}},
    {"negative_days", 0, {}},
};
