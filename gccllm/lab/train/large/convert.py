"""A folder of Hugging Face weights (safetensors) as GGUF: Qwen2 and Llama architectures with byte-level BPE.

One tensor is in memory at a time: the embedding of a 7B model is the largest, about 6 GB with its copies (not
measured). llama.cpp's own `convert_hf_to_gguf.py` knows many more architectures and is the way for everything that is
refused here; docs/internals/train-7b.md says how.

Checked, each with one sentence: every tensor is there, has the shape the configuration says, and is finite; none is
left over; F16 does not overflow; the tokenizer fits the embedding and has a pre-tokenizer that llama.cpp knows by
name. Not covered: scaled rotary embeddings (Llama 3.1 and later), sliding windows, mixtures of experts, SentencePiece
vocabularies, adapters that were not merged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

KINDS = ("f32", "f16", "q8_0")
ARCHITECTURES = {"Qwen2ForCausalLM": "qwen2", "LlamaForCausalLM": "llama"}
ELSEWHERE = "use llama.cpp's convert_hf_to_gguf.py for it (docs/internals/train-7b.md)"
F16_MOST = 65504.0

# The expressions by which tokenizer.json cuts text before the merges, and llama.cpp's name for each.
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PRE_TOKENIZERS = {_WORDS % r"\p{N}": "qwen2", _WORDS % r"\p{N}{1,3}": "llama-bpe"}

_BLOCK = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
_FILE_TYPES = {
    "f32": gguf.LlamaFileType.ALL_F32, "f16": gguf.LlamaFileType.MOSTLY_F16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}  # fmt: skip

Floats = NDArray[np.float32]


class ConvertError(Exception):
    """The folder cannot be converted; the message is one sentence."""


@dataclass(frozen=True)
class Shape:
    """What the configuration says of the model."""

    architecture: str
    """llama.cpp's name."""
    vocabulary: int
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    """Width of one head."""
    context: int
    epsilon: float
    rope_base: float
    is_tied: bool
    has_bias: bool
    """q, k and v have biases."""


def convert(folder: Path, target: Path, kind: str = "q8_0", name: str = "") -> int:
    """Write `target` atomically; returns how many tensors it holds. Raises ConvertError.

    kind  f32, f16 or q8_0: how matrices are stored; vectors are always f32
    """
    if kind not in KINDS:
        raise ConvertError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    shape = shape_of(_json(folder / "config.json"))
    stored = Stored(folder)
    plan = tensors_of(shape)
    _check_names(plan, stored)
    temporary = target.with_suffix(".tmp")
    writer = gguf.GGUFWriter(str(temporary), shape.architecture)
    try:
        _describe(writer, shape, kind, name or folder.resolve().name)
        _vocabulary(writer, folder, shape)
        for theirs, (ours, dims) in plan.items():
            if stored.dims(theirs) != dims:
                raise ConvertError(f"tensor {theirs} has shape {stored.dims(theirs)}; config.json says {dims}")
            _announce(writer, ours, dims, kind)
        # The list of tensors is fixed from here on; their data follows in the same order, one at a time.
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for theirs in plan:
            writer.write_tensor_data(_packed(theirs, _placed(theirs, stored.read(theirs), shape), kind))
        writer.close()
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return len(plan)


# --- the model ------------------------------------------------------------------------------------


def shape_of(config: dict[str, Any]) -> Shape:
    """Raises ConvertError for what llama.cpp would compute differently."""
    named = (config.get("architectures") or ["none"])[0]
    architecture = ARCHITECTURES.get(named)
    if architecture is None:
        raise ConvertError(f"architecture {named} is not one of {', '.join(ARCHITECTURES)}; {ELSEWHERE}")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if (scaling := rope.get("rope_type") or rope.get("type") or "default") != "default":
        raise ConvertError(f"rotary embeddings are scaled ({scaling}); {ELSEWHERE}")
    if config.get("use_sliding_window"):
        raise ConvertError(f"attention has a sliding window; {ELSEWHERE}")
    if config.get("hidden_act", "silu") != "silu" or config.get("mlp_bias"):
        raise ConvertError(f"the feed-forward part is not plain SwiGLU; {ELSEWHERE}")
    try:
        heads, hidden = config["num_attention_heads"], config["hidden_size"]
        return Shape(
            architecture=architecture,
            vocabulary=config["vocab_size"],
            hidden=hidden,
            inner=config["intermediate_size"],
            layers=config["num_hidden_layers"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head=config.get("head_dim") or hidden // heads,
            context=config["max_position_embeddings"],
            epsilon=config["rms_norm_eps"],
            rope_base=float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0),
            is_tied=bool(config.get("tie_word_embeddings", False)),
            has_bias=architecture == "qwen2" or bool(config.get("attention_bias")),
        )
    except KeyError as error:
        raise ConvertError(f"config.json has no {error.args[0]}") from error


def tensors_of(shape: Shape) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Their name -> (llama.cpp's name, shape) of every tensor, in the order of the file."""
    queries, keys = shape.heads * shape.head, shape.kv_heads * shape.head
    rows: dict[str, tuple[int, ...]] = {
        "input_layernorm": (shape.hidden,),
        "self_attn.q_proj": (queries, shape.hidden),
        "self_attn.k_proj": (keys, shape.hidden),
        "self_attn.v_proj": (keys, shape.hidden),
        "self_attn.o_proj": (shape.hidden, queries),
        "post_attention_layernorm": (shape.hidden,),
        "mlp.gate_proj": (shape.inner, shape.hidden),
        "mlp.up_proj": (shape.inner, shape.hidden),
        "mlp.down_proj": (shape.hidden, shape.inner),
    }
    plan: dict[str, tuple[str, tuple[int, ...]]] = {
        "model.embed_tokens.weight": ("token_embd.weight", (shape.vocabulary, shape.hidden))
    }
    for i in range(shape.layers):
        for part, dims in rows.items():
            plan[f"model.layers.{i}.{part}.weight"] = (f"blk.{i}.{_BLOCK[part]}.weight", dims)
            if shape.has_bias and part.removeprefix("self_attn.") in ("q_proj", "k_proj", "v_proj"):
                plan[f"model.layers.{i}.{part}.bias"] = (f"blk.{i}.{_BLOCK[part]}.bias", dims[:1])
    plan["model.norm.weight"] = ("output_norm.weight", (shape.hidden,))
    if not shape.is_tied:
        plan["lm_head.weight"] = ("output.weight", (shape.vocabulary, shape.hidden))
    return plan


class Stored:
    """The tensors of a folder, in one safetensors file or several. Raises ConvertError."""

    def __init__(self, folder: Path) -> None:
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise ConvertError(f"{folder}: there are no .safetensors files")
        self.place: dict[str, Path] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for path in files:
            for name, dims in _header(path):
                if name in self.place:
                    raise ConvertError(f"tensor {name} is in {self.place[name].name} and in {path.name}")
                self.place[name], self.shapes[name] = path, dims

    def dims(self, name: str) -> tuple[int, ...]:
        return self.shapes[name]

    def read(self, name: str) -> Floats:
        from safetensors import safe_open

        # torch, because numpy has no bfloat16.
        with safe_open(self.place[name], framework="pt") as file:
            tensor: Floats = file.get_tensor(name).float().numpy()
        if not np.isfinite(tensor).all():
            raise ConvertError(f"tensor {name} holds values that are not finite")
        return tensor


def _header(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        try:
            rows = json.loads(file.read(size))
        except (ValueError, MemoryError, OverflowError) as error:
            raise ConvertError(f"{path.name} is not a safetensors file") from error
    for name, row in rows.items():
        if name != "__metadata__":
            yield name, tuple(row["shape"])


def _check_names(plan: dict[str, Any], stored: Stored) -> None:
    missing = [name for name in plan if name not in stored.place]
    if missing:
        raise ConvertError(f"{len(missing)} of {len(plan)} tensors are missing, the first is {missing[0]}")
    # A tied model may still carry its output matrix, and old files carry the rotary frequencies.
    extra = [
        n for n in stored.place if n not in plan and n != "lm_head.weight" and not n.endswith("rotary_emb.inv_freq")
    ]
    if extra:
        raise ConvertError(f"{len(extra)} tensors have no place in this architecture, the first is {extra[0]}")


def _placed(name: str, tensor: Floats, shape: Shape) -> Floats:
    """llama.cpp's `llama` turns neighbouring pairs where transformers turns halves; `qwen2` is the same in both."""
    if shape.architecture != "llama" or name.split(".")[-2] not in ("q_proj", "k_proj"):
        return tensor
    heads = shape.heads if ".q_proj." in name else shape.kv_heads
    halves = tensor.reshape(heads, 2, shape.head // 2, *tensor.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(tensor.shape))


def _stored_kind(dims: tuple[int, ...], kind: str) -> str:
    """Vectors stay f32; a matrix whose rows do not fill the blocks of q8_0 is stored as f16."""
    if len(dims) == 1:
        return "f32"
    return "f16" if kind == "q8_0" and dims[-1] % 32 else kind


def _announce(writer: gguf.GGUFWriter, name: str, dims: tuple[int, ...], kind: str) -> None:
    stored, count = _stored_kind(dims, kind), int(np.prod(dims))
    if stored == "q8_0":
        rows = (*dims[:-1], dims[-1] // 32 * 34)
        writer.add_tensor_info(
            name, rows, np.dtype(np.uint8), count // 32 * 34, raw_dtype=gguf.GGMLQuantizationType.Q8_0
        )  # fmt: skip
    else:
        dtype = np.dtype(np.float16 if stored == "f16" else np.float32)
        writer.add_tensor_info(name, dims, dtype, count * dtype.itemsize)


def _packed(name: str, tensor: Floats, kind: str) -> NDArray[Any]:
    stored = _stored_kind(tensor.shape, kind)
    if stored == "f32":
        return tensor
    if stored == "f16":
        if np.abs(tensor).max(initial=0.0) > F16_MOST:
            raise ConvertError(f"tensor {name} does not fit into f16; convert to q8_0 or f32")
        return tensor.astype(np.float16)
    packed: NDArray[Any] = gguf.quants.quantize(tensor, gguf.GGMLQuantizationType.Q8_0)
    return packed


def _describe(writer: gguf.GGUFWriter, shape: Shape, kind: str, name: str) -> None:
    writer.add_name(name)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(_FILE_TYPES[kind])
    if kind == "q8_0":
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


# --- the vocabulary -------------------------------------------------------------------------------


def _vocabulary(writer: gguf.GGUFWriter, folder: Path, shape: Shape) -> None:
    whole, about = _json(folder / "tokenizer.json"), _json(folder / "tokenizer_config.json")
    model = whole["model"]
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        raise ConvertError(f"the tokenizer is not a byte-level BPE; {ELSEWHERE}")
    words: dict[int, tuple[str, gguf.TokenType]] = {
        number: (text, gguf.TokenType.NORMAL) for text, number in model["vocab"].items()
    }
    for added in whole.get("added_tokens", ()):
        kind = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
        words[added["id"]] = (added["content"], kind)
    if max(words) >= shape.vocabulary:
        raise ConvertError(
            f"the tokenizer has a token {max(words)}; the embedding has rows up to {shape.vocabulary - 1}"
        )
    # An embedding is often longer than its vocabulary: rows that no text can reach.
    filled = [words.get(i, (f"[PAD{i}]", gguf.TokenType.UNUSED)) for i in range(shape.vocabulary)]
    ids = {text: i for i, (text, _) in enumerate(filled)}

    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer(whole))
    writer.add_token_list([text for text, _ in filled])
    writer.add_token_types([int(kind) for _, kind in filled])
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]])
    for key, add in (
        ("bos_token", writer.add_bos_token_id), ("eos_token", writer.add_eos_token_id),
        ("pad_token", writer.add_pad_token_id),
    ):  # fmt: skip
        text = about.get(key)
        text = text.get("content") if isinstance(text, dict) else text
        if text is None:
            if key == "eos_token":
                raise ConvertError("tokenizer_config.json names no eos_token; answers would not end")
            continue
        if text not in ids:
            raise ConvertError(f"{key} {text!r} is not in the vocabulary")
        add(ids[text])
    writer.add_add_bos_token(bool(about.get("add_bos_token", _starts_with_special(whole))))
    if (template := chat_template(folder, about)) is not None:
        writer.add_chat_template(template)


def pre_tokenizer(whole: dict[str, Any]) -> str:
    """llama.cpp's name for how a tokenizer.json cuts text. Raises ConvertError."""
    pre = whole.get("pre_tokenizer") or {}
    for step in pre.get("pretokenizers", [pre]):
        if step.get("type") == "Split":
            pattern = step.get("pattern", {}).get("Regex", "")
            if pattern not in PRE_TOKENIZERS:
                raise ConvertError(
                    f"llama.cpp's name for this pre-tokenizer is not known: {pattern[:60]!r}; {ELSEWHERE}"
                )
            return PRE_TOKENIZERS[pattern]
        if step.get("type") == "ByteLevel" and step.get("use_regex", True):
            return "gpt-2"
    raise ConvertError(f"the tokenizer has no pre-tokenizer; {ELSEWHERE}")


def _starts_with_special(whole: dict[str, Any]) -> bool:
    """Whether every text gets a special token in front (Llama 3 does it here, and says so nowhere else)."""
    post = whole.get("post_processor") or {}
    steps = [step for step in post.get("processors", [post]) if step.get("type") == "TemplateProcessing"]
    return any(step["single"] and "SpecialToken" in step["single"][0] for step in steps)


def chat_template(folder: Path, about: dict[str, Any]) -> str | None:
    """The template in its own file or in tokenizer_config.json; the default one where there are several."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8")
    found = about.get("chat_template")
    if isinstance(found, list):
        return next((row["template"] for row in found if row["name"] == "default"), None)
    return found if isinstance(found, str) else None


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConvertError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConvertError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ConvertError(f"{path} holds no object")
    return found
