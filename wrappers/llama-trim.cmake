# Included by llama-cpp-python's own build, and by that of llama.cpp in it: only the library itself is needed.
# What is set here stands before their own option() of that name.
set(LLAVA_BUILD OFF)
set(LLAMA_BUILD_COMMON OFF)
set(LLAMA_OPENSSL OFF)
