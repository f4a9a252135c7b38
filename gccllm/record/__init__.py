"""Recorded calls as tests: the recorder in a program, its files, the test store, and tests made of them.

`docs/internals/recording.md` follows the life of a recorded call through all of them.
"""
