# Toolchain file: build with gcc-llm.
#
#   cmake -S . -B build-gcc-llm -DCMAKE_TOOLCHAIN_FILE=gcc-llm.cmake    # Release unless CMAKE_BUILD_TYPE says otherwise
#
# A build folder that is there already keeps its compiler and takes no toolchain file.
# Takes gcc-llm and g++-llm from the active virtual environment or PATH; -DGCCLLM_ROOT=PREFIX names an installation.
# Nothing else changes: CMake sees gcc, and the same files serve a build without gcc-llm.
set(places HINTS "${GCCLLM_ROOT}" "$ENV{GCCLLM_ROOT}" "$ENV{VIRTUAL_ENV}" PATH_SUFFIXES bin)
find_program(GCCLLM_C gcc-llm ${places} REQUIRED)
find_program(GCCLLM_CXX g++-llm ${places} REQUIRED)
set(CMAKE_C_COMPILER "${GCCLLM_C}")
set(CMAKE_CXX_COMPILER "${GCCLLM_CXX}")

# Without a build type CMake compiles without any -O, and there is nothing to gain.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel")
endif()

# try_compile reads this file again, in a project of its own.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES GCCLLM_ROOT)
unset(places)
