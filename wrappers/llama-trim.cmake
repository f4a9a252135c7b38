# Included by llama.cpp's own build: the command-line tools' common library is not needed by the Python package.
set(LLAMA_BUILD_COMMON OFF)
