"""Assembly text as data: lossless modules, bodies, canonical form, control flow, slices, splicing, CFI, ISA levels."""

from gccllm.assembly.body import Body, BodyError, Constant, Line
from gccllm.assembly.canonical import attribute_rows, baseline_key_text, canonical, canonicalize
from gccllm.assembly.cfg import Block, Cfg, Loop, cfg
from gccllm.assembly.cfi import synthesize_cfi
from gccllm.assembly.decode import Access, Decoded, DecodedLine, Use, decode
from gccllm.assembly.function import Function
from gccllm.assembly.isa import LEVELS, guard_level, level_of, march_features
from gccllm.assembly.layout import layout_text
from gccllm.assembly.liveness import Liveness, liveness
from gccllm.assembly.module import DataObject, Module
from gccllm.assembly.section import NotLossless, Section
from gccllm.assembly.slice import reachable, slice_text
from gccllm.assembly.splice import Rewrite, splice

__all__ = [
    "LEVELS",
    "Access",
    "Block",
    "Body",
    "BodyError",
    "Cfg",
    "Constant",
    "DataObject",
    "Decoded",
    "DecodedLine",
    "Function",
    "Line",
    "Liveness",
    "Loop",
    "Module",
    "NotLossless",
    "Rewrite",
    "Section",
    "Use",
    "attribute_rows",
    "baseline_key_text",
    "canonical",
    "canonicalize",
    "cfg",
    "decode",
    "guard_level",
    "layout_text",
    "level_of",
    "liveness",
    "march_features",
    "reachable",
    "slice_text",
    "splice",
    "synthesize_cfi",
]
