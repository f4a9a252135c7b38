"""Assembly text as data: lossless modules, bodies, canonical form, control flow, slices, splicing, CFI, ISA levels."""

from gccllm.assembly.body import Body, Line
from gccllm.assembly.canonical import attribute_rows, baseline_key_text, canonical, canonicalize
from gccllm.assembly.cfg import Block, Cfg, Loop, cfg
from gccllm.assembly.code import by_line, code_of
from gccllm.assembly.data import Constant
from gccllm.assembly.function import Function
from gccllm.assembly.isa import LEVELS, level_name, level_of, march_features
from gccllm.assembly.layout import layout_text
from gccllm.assembly.linkage import is_pointed_to, replaceable
from gccllm.assembly.module import DataObject, Module
from gccllm.assembly.section import NotLossless, Section
from gccllm.assembly.slice import reachable, slice_text
from gccllm.assembly.splice import Rewrite, splice
from gccllm.assembly.syntax import BodyError

__all__ = [
    "LEVELS",
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
    "Rewrite",
    "Section",
    "attribute_rows",
    "baseline_key_text",
    "by_line",
    "canonical",
    "canonicalize",
    "cfg",
    "code_of",
    "is_pointed_to",
    "layout_text",
    "level_name",
    "level_of",
    "march_features",
    "reachable",
    "replaceable",
    "slice_text",
    "splice",
]
