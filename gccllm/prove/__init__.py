"""What no input can do: branches of machine code that are never taken, shown with an SMT solver."""

from gccllm.prove.infeasible import infeasible

__all__ = ["infeasible"]
