"""Writes a llama-architecture GGUF of a few kilobytes with random weights: real enough for llama.cpp, no training."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

HIDDEN, FFN, LAYERS, HEADS = 32, 64, 1, 2


def write(path: Path, vocabulary: int = 64, context: int = 256, seed: int = 0, chat: bool = False,
          nan: bool = False) -> Path:  # fmt: skip
    """A model whose next token depends on the last ones in a fixed, meaningless way. Raises OSError."""
    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(context)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(vocabulary)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    words = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    words += [chr(0x100 + i) for i in range(max(0, vocabulary - len(words)))]
    kinds = [2, 3, 3] + [6] * 256 + [1] * vocabulary
    writer.add_tokenizer_model("llama")
    writer.add_token_list([word.encode() for word in words[:vocabulary]])
    writer.add_token_types(kinds[:vocabulary])
    writer.add_token_scores([-float(i) for i in range(vocabulary)])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    if chat:
        writer.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    shapes = {
        "attn_q.weight": (HIDDEN, HIDDEN),
        "attn_k.weight": (HIDDEN, HIDDEN),
        "attn_v.weight": (HIDDEN, HIDDEN),
        "attn_output.weight": (HIDDEN, HIDDEN),
        "ffn_gate.weight": (FFN, HIDDEN),
        "ffn_up.weight": (FFN, HIDDEN),
        "ffn_down.weight": (HIDDEN, FFN),
    }
    writer.add_tensor("token_embd.weight", rng.normal(0, 1, (vocabulary, HIDDEN)).astype(np.float32))
    writer.add_tensor("output_norm.weight", np.full(HIDDEN, np.nan if nan else 1, np.float32))
    for layer in range(LAYERS):
        for name, shape in shapes.items():
            writer.add_tensor(f"blk.{layer}.{name}", rng.normal(0, 0.5, shape).astype(np.float32))
        for name in ("attn_norm.weight", "ffn_norm.weight"):
            writer.add_tensor(f"blk.{layer}.{name}", np.ones(HIDDEN, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
