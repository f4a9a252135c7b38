"""gcc-llm: gcc, with the hot functions of each translation unit rewritten, verified and measured."""

__version__ = "0.1.0"
