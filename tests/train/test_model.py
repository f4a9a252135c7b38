"""The model's way out of torch: the exported file computes the same."""

from __future__ import annotations

import csv
import ctypes
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("gguf", reason="the export needs gguf")

from gccllm.propose.tokens import Tokens  # noqa: E402
from gccllm.train import corpus, sft  # noqa: E402
from gccllm.train.export import export  # noqa: E402
from gccllm.train.model import Model, Shape, orthogonal  # noqa: E402

SMALL = Shape(vocabulary=96, hidden=64, inner=96, layers=3, heads=2, context=128)


def logits_of(path: Path, ids: list[int]) -> np.ndarray:
    """llama.cpp's logits after each id, with f32 keys and values."""
    llama_cpp = pytest.importorskip("llama_cpp", reason="parity needs llama.cpp")
    quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx, parameters.n_batch, parameters.n_threads = 128, 128, 1
    parameters.type_k = parameters.type_v = 0
    parameters.flash_attn_type = 0
    context = llama_cpp.llama_init_from_model(model, parameters)
    batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, i, 1, 0, 1
    assert llama_cpp.llama_decode(context, batch) == 0
    rows = [
        np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, i), (SMALL.vocabulary,)).copy()
        for i in range(len(ids))
    ]
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return np.stack(rows)


def test_the_exported_model_computes_what_torch_computes(tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = Model(SMALL).eval()
    words = ["<pad>", "<eos>", "<sep>", "<unk>", *(f"w{i}" for i in range(92))]
    export(model, words, tmp_path / "m.gguf", quantised=False)
    for seed in range(4):
        ids = torch.randint(0, 96, (1, 40), generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            want = model.logits(model.states(ids))[0].numpy()
        got = logits_of(tmp_path / "m.gguf", ids[0].tolist())
        assert np.abs(want - got).max() < 1e-3
        assert (want.argmax(-1) == got.argmax(-1)).all()


def test_rows_that_do_not_fill_a_block_are_refused(tmp_path: Path) -> None:
    model = Model(Shape(vocabulary=96, hidden=64, inner=80, layers=1, heads=2, context=64))
    with pytest.raises(ValueError, match="blocks"):
        export(model, [f"w{i}" for i in range(96)], tmp_path / "m.gguf")


def test_muon_directions_are_nearly_orthogonal() -> None:
    torch.manual_seed(0)
    made = orthogonal(torch.randn(2, 8, 24), 5)
    values = torch.linalg.svdvals(made)
    assert float(values.min()) > 0.3
    assert float(values.max()) < 1.6


def test_training_lowers_the_loss_and_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    prompt, answer = "\tmovl\t%edi, %eax\n\tret\n", "\tleal\t(%rdi), %eax\n\tret\n"
    with (tmp_path / "corpus.jsonl").open("w") as file:
        for i in range(60):
            steps = "".join("\tincl\t%eax\n" if bit == "1" else "\tdecl\t%eax\n" for bit in f"{i:06b}")
            row = {"prompt": prompt.replace("\tret", steps + "\tret"), "asm": answer, "level": 0}
            row |= {"split": "train" if i % 10 else "unseen", "status": "pass"}
            file.write(json.dumps(row) + "\n")
        file.write('{"prompt": "cut sho')
    small = {"hidden": 32, "inner": 32, "layers": 1, "heads": 1}
    sft.train(tmp_path, 1e6, steps=5, shape=small, reserved=frozenset())
    first = sft.load(tmp_path / "checkpoint.pt")[1]
    sft.train(tmp_path, 1e6, steps=60, shape=small, reserved=frozenset())
    second = sft.load(tmp_path / "checkpoint.pt")[1]
    assert (first["step"], second["step"]) == (5, 60)
    assert second["trained"] > first["trained"]
    rows = list(csv.DictReader((tmp_path / "curve.csv").open()))
    model, _ = sft.load(tmp_path / "checkpoint.pt")
    examples = sft.load_examples(Tokens.load(tmp_path / "tokens.json"), tmp_path / "corpus.jsonl", frozenset())
    assert sft.held_out(model, examples["train"])[0] < 0.5 * float(rows[0]["train_loss"])


def test_reserved_and_held_out_texts_are_not_trained_on(tmp_path: Path) -> None:
    rows = [
        {"prompt": "\tmovl\t$777, %eax\n\tret\n", "asm": "\tret\n", "level": 0, "split": "train"},
        {"prompt": "\tmovl\t$888, %eax\n\tret\n", "asm": "\tret\n", "level": 0, "split": "unseen"},
        {"prompt": "\tmovl\t%ecx, %eax\n\tret\n", "asm": "\tret\n", "level": 0, "split": "train"},
        {"prompt": "\tmovl\t%edx, %eax\n\tret\n", "asm": "\tret\n", "level": 0, "split": "train"},
    ]
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokens = Tokens.build([(row["prompt"], row["asm"]) for row in corpus.read(path)])
    splits = sft.load_examples(tokens, path, frozenset([rows[2]["prompt"]]))
    kept = tokens.encode_text(rows[3]["prompt"], 5)
    assert {tuple(ids[1:start]) for ids, start in splits["train"]} == {tuple(kept[1:])}  # 777 is 888 but for a constant
    assert len(splits["unseen"]) == 1
