#!/bin/sh
# CMake sees gcc, its version, its features and its link directories.
. "$(dirname "$0")/lib.sh"

need cmake
form() {
    printf 'cmake_minimum_required(VERSION 3.18)\nproject(p C)\nadd_executable(program loop.c main.c)\n' >CMakeLists.txt
    CFLAGS=-O2 CC=$(command -v $CC) cmake -S . -B b >/dev/null && cmake --build b >/dev/null && b/program || return 1
    grep -E 'set.CMAKE_C_(COMPILER_ID|COMPILER_VERSION|STANDARD_COMPUTED_DEFAULT|IMPLICIT_LINK_DIR|IMPLICIT_LINK_LIB)' b/CMakeFiles/*/CMakeCCompiler.cmake
    mv b/program . && mv b/CMakeFiles/program.dir/loop.c.o . && rm -r b
}

compare 0
labelled
