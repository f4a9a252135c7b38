"""Stage `export`: a checkpoint as GGUF (architecture `llama`), with the vocabulary inside for llama-server.

The text form of the vocabulary is for show: prompts must be tokenised by `gccllm.propose.tokens`, because words have no
unique spelling as a stream of characters (slots, whole lines).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
import torch
from numpy.typing import NDArray

from gccllm.lab.train import config as configuration
from gccllm.lab.train.config import Config
from gccllm.lab.train.corpus import NAME, read
from gccllm.lab.train.model import Model, Shape
from gccllm.lab.train.sft import answers_of
from gccllm.lab.train.trainer import load
from gccllm.propose.tokens import Tokens

_BLOCK = {
    "attention_norm": "attn_norm", "feed_norm": "ffn_norm", "q": "attn_q", "k": "attn_k", "v": "attn_v",
    "o": "attn_output", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down",
}  # fmt: skip


def export(
    model: Model, words: list[str], path: Path, *, quantised: bool = True, name: str = "gcc-llm built-in"
) -> None:
    """Write `path` atomically. `quantised`: matrices as Q8_0 (norms stay f32), else everything f32."""
    shape = model.shape
    temporary = path.with_suffix(".tmp")
    writer = gguf.GGUFWriter(str(temporary), "llama")
    writer.add_name(name)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_dimension_count(shape.hidden // shape.heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if quantised else gguf.LlamaFileType.ALL_F32)
    _vocabulary(writer, words)
    state = {key: value.detach().float().numpy() for key, value in model.state_dict().items()}
    for ours, theirs in _names(shape.layers).items():
        _put(writer, theirs, state[ours], quantised and state[ours].ndim == 2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    temporary.replace(path)


def restore(path: Path) -> Model:
    """The model of a file that `export` wrote: what there is to go on from when the checkpoint is gone.

    Matrices come back as Q8_0 keeps them (within 1/200 of the largest of 32 neighbours). Raises ValueError for a file
    of another architecture or with a tensor missing.
    """
    reader = gguf.GGUFReader(str(path))

    def number(key: str) -> float:
        field = reader.get_field(f"llama.{key}")
        if field is None:
            raise ValueError(f"{path}: no llama.{key}: not a model that `export` wrote")
        return float(field.contents())

    shape = Shape(
        vocabulary=int(number("vocab_size")), hidden=int(number("embedding_length")),
        inner=int(number("feed_forward_length")), layers=int(number("block_count")),
        heads=int(number("attention.head_count")), context=int(number("context_length")),
        rope_base=number("rope.freq_base"),
        epsilon=float(f"{number('attention.layer_norm_rms_epsilon'):.7g}"),  # it is kept in single precision
    )  # fmt: skip
    found = {t.name: torch.tensor(gguf.quants.dequantize(t.data, t.tensor_type)) for t in reader.tensors}
    model = Model(shape)
    try:
        model.load_state_dict({ours: found[theirs] for ours, theirs in _names(shape.layers).items()})
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{path}: {error}: not a model that `export` wrote") from error
    return model.eval()


def _names(layers: int) -> dict[str, str]:
    """Our name of each tensor, and llama.cpp's."""
    names = {"embedding.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}
    for i in range(layers):
        names |= {f"blocks.{i}.{ours}.weight": f"blk.{i}.{theirs}.weight" for ours, theirs in _BLOCK.items()}
    return names


def _put(writer: gguf.GGUFWriter, key: str, array: NDArray[np.float32], quantised: bool) -> None:
    if not quantised:
        writer.add_tensor(key, array)
        return
    if array.shape[-1] % 32:
        raise ValueError(f"{key}: rows of {array.shape[-1]} do not fill the blocks of Q8_0")
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor(key, gguf.quants.quantize(array, kind), raw_dtype=kind)


def _vocabulary(writer: gguf.GGUFWriter, words: list[str]) -> None:
    """Words as a llama vocabulary, and the 256 byte tokens it must have are spelled by our own unused ones' tail."""
    kinds = []
    shown = []
    for word in words:
        special = word.startswith("<") and word.endswith(">")
        kinds.append(
            int(
                gguf.TokenType.UNKNOWN
                if word == "<unk>"
                else gguf.TokenType.CONTROL
                if special
                else gguf.TokenType.NORMAL
            )
        )
        shown.append(word.replace("\x1f,\x1f", ", ").replace("\x1f", "").replace(" ", "▁"))
    ids = {word: i for i, word in enumerate(words)}
    seen: set[str] = set()
    for i, text in enumerate(shown):
        if text in seen:  # two words may look alike in text; ids are what counts
            shown[i] = f"{text}▁[{i}]"
        seen.add(shown[i])
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([text.encode() for text in shown])
    writer.add_token_types(kinds)
    writer.add_token_scores([-float(i) for i in range(len(words))])
    writer.add_unk_token_id(ids.get("<unk>", 0))
    writer.add_bos_token_id(ids.get("<sep>", 0))
    writer.add_eos_token_id(ids.get("<eos>", 0))
    writer.add_pad_token_id(ids.get("<pad>", 0))
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def ship(config: Config) -> None:
    """Write `model.gguf` and `tokens.json` of a checkpoint into a folder, the package's own by default.

    Which word may follow which is read off the corpus's training answers again; it has grown since the vocabulary was
    made.
    """
    out, target = config.out, config.export.to
    model, _ = load(out / config.export.checkpoint)
    words = Tokens.load(out / "tokens.json")
    if (out / NAME).exists():
        words = words.with_follows(answers_of(words, (row for row in read(out / NAME) if row["split"] == "train")))
    target.mkdir(parents=True, exist_ok=True)
    export(model, list(words.words), target / "model.gguf")
    words.save(target / "tokens.json")
    print(f"export: {(target / 'model.gguf').stat().st_size / 1e6:.2f} MB in {target}")


def main(arguments: Sequence[str]) -> None:
    configuration.run(ship, "export", __doc__, arguments)
