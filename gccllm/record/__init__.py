"""Recorded calls as tests: the recorder in a program, its files, the test store, and tests made of them.

`docs/internals/recording.md` is the way of a recorded call from one to the next.
"""
