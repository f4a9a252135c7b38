"""Assembly text as data: lossless modules, bodies, canonical form, control flow, slices, splicing, CFI, ISA levels."""

from gccllm.assembly.body import Body, BodyError, Constant, Line
from gccllm.assembly.canonical import baseline_key_text, canonical, canonicalize
from gccllm.assembly.cfg import Block, Cfg, Loop, cfg
from gccllm.assembly.module import DataObject, Function, Module, NotLossless, Section
from gccllm.assembly.slice import reachable, slice_text

__all__ = [
    "Block",
    "Body",
    "BodyError",
    "Cfg",
    "Constant",
    "DataObject",
    "Function",
    "Line",
    "Loop",
    "Module",
    "NotLossless",
    "Section",
    "baseline_key_text",
    "canonical",
    "canonicalize",
    "cfg",
    "reachable",
    "slice_text",
]
