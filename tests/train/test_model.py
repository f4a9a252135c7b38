"""The model's way out of torch: the exported file computes the same."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
gguf = pytest.importorskip("gguf", reason="the export needs gguf")

from gccllm.lab.train import examples, sft, trainer  # noqa: E402
from gccllm.lab.train.config import Config, Sft  # noqa: E402
from gccllm.lab.train.export import export, restore  # noqa: E402
from gccllm.lab.train.model import Model, Shape, orthogonal  # noqa: E402
from gccllm.propose.llama import library  # noqa: E402
from gccllm.propose.signature import CSignature  # noqa: E402
from gccllm.propose.tokens import Tokens  # noqa: E402

SMALL = Shape(vocabulary=96, hidden=64, inner=96, layers=3, heads=2, context=128)


def logits_of(path: Path, ids: list[int]) -> np.ndarray:
    """llama.cpp's logits after each id, with f32 keys and values."""
    pytest.importorskip("llama_cpp", reason="parity needs llama.cpp")
    llama_cpp = library()  # with its log silenced: a callback of our own would have to outlive the process
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


def test_an_exported_model_comes_back(tmp_path: Path) -> None:
    """What `restore` reads is what `export` wrote: exactly without quantisation, to Q8_0's precision with it."""
    torch.manual_seed(0)
    model = Model(Shape(vocabulary=40, hidden=64, inner=96, layers=2, heads=2, context=128))
    words = [f"w{i}" for i in range(40)]
    export(model, words, tmp_path / "exact.gguf", quantised=False)
    export(model, words, tmp_path / "small.gguf")
    exact, small = restore(tmp_path / "exact.gguf"), restore(tmp_path / "small.gguf")
    assert exact.shape == small.shape == model.shape
    for (name, ours), theirs, rough in zip(
        model.state_dict().items(), exact.state_dict().values(), small.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), name
        assert float((ours - rough).abs().max()) <= float(ours.abs().max()) / 200, name


def test_a_foreign_file_is_not_restored(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(str(tmp_path / "x.gguf"), "gpt2")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ValueError, match="not a model that `export` wrote"):
        restore(tmp_path / "x.gguf")


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


SMALL_SHAPE: dict[str, Any] = {"hidden": 32, "inner": 32, "layers": 1, "heads": 1}


def row(prompt: str, answer: str, split: str, key: str = "toy/add/int/one") -> dict[str, object]:
    """A row of a corpus; its expert is twice as fast as the best recipe."""
    return {
        "prompt": prompt, "answer": answer, "expert": answer, "c": "int KERN(int a) { return a; }", "split": split,
        "types": ["i32", ["i32"]], "kinds": ["x:32:1"], "values": [], "family": "toy", "key": key, "status": "pass",
        "tests": 24, "ticks": [200, 200, 100], "recipe": "gcc-wide",
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work folder with 60 rows; the last line is one that a stopped run left. No text is reserved."""
    monkeypatch.setattr(sft, "reserved_texts", lambda tools: frozenset())
    with (tmp_path / "corpus.jsonl").open("w") as file:
        for i in range(60):
            steps = "".join("\tincl\t%eax\n" if bit == "1" else "\tdecl\t%eax\n" for bit in f"{i:06b}")
            made = row(f"\tmovl\t%edi, %eax\n{steps}\tret\n", "return a + 1;", "train" if i % 10 else "unseen")
            file.write(json.dumps(made) + "\n")
        file.write('{"prompt": "cut sho')
    return tmp_path


def config(folder: Path, **changed: Any) -> Config:
    return Config(out=folder, sft=Sft(minutes=1e6, **SMALL_SHAPE, **changed))


def test_training_lowers_the_loss_and_goes_on_from_its_checkpoint(folder: Path) -> None:
    first = trainer.load(sft.train(config(folder, steps=5)))[1]
    model, second = trainer.load(sft.train(config(folder, steps=60)))
    assert (first["step"], second["step"]) == (5, 60)
    assert second["trained"] > first["trained"]
    rows = list(csv.DictReader((folder / "curve.csv").open()))
    made = examples.load_examples(Tokens.load(folder / "tokens.json"), folder / "corpus.jsonl", frozenset())
    loader = trainer.Loader(trainer.Rows.of(made["train"]), torch.device("cpu"))
    assert trainer.held_out(model, loader)[0] < 0.5 * float(rows[0]["train_loss"])


def test_a_checkpoint_of_another_configuration_is_refused_in_one_line(folder: Path) -> None:
    sft.train(config(folder, steps=1))
    with pytest.raises(ValueError, match=r"made with sft\.scale = 1\.0 \(now 0\.5\)"):
        sft.train(config(folder, steps=2, scale=0.5))
    sft.train(config(folder, steps=2, save_every=1.0))  # changes nothing that is computed


@pytest.mark.serial
def test_two_processes_train_one_model_and_leave_no_thread_behind(folder: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from gccllm.lab.train import sft; "
        "from gccllm.lab.train.config import Config, Sft; "
        f"small = Sft(minutes=1e6, steps=4, step_tokens=64, **{SMALL_SHAPE}); "
        "sft.train(Config(out=Path(sys.argv[1]), sft=small)); "
        # one that wants the interpreter while it ends aborts the process, once in some twenty runs
        "assert os.listdir('/proc/self/task') == [str(os.getpid())]"
    )
    script = folder / "run.py"
    script.write_text(code)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    argv = [sys.executable, *launcher, str(script), str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=240, env=environment)
    assert ran.returncode == 0, ran.stderr[:3000]  # the launcher's own trace comes after the cause
    assert trainer.load(folder / "checkpoint.pt")[1]["step"] == 4


def test_reserved_and_held_out_texts_are_not_trained_on(tmp_path: Path) -> None:
    rows = [
        row("\tmovl\t$777, %eax\n\tret\n", "return 777;", "train", "a/b/c/d"),
        row("\tmovl\t$888, %eax\n\tret\n", "return 888;", "unseen", "a/b/c/e"),
        row("\tmovl\t%ecx, %eax\n\tret\n", "return b;", "train", "a/b/c/f"),
        row("\tmovl\t%edx, %eax\n\tret\n", "return c;", "train", "a/b/c/g"),
    ]
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    tokens = Tokens.build([(str(r["prompt"]), str(r["expert"])) for r in rows])
    splits = examples.load_examples(tokens, path, frozenset([str(rows[2]["prompt"])]))
    kept = tokens.encode_text(str(rows[3]["prompt"]), CSignature("i32", ("i32",)))
    assert {tuple(ids[:start]) for ids, start in splits["train"]} == {tuple(kept)}  # 777 is 888 but for a constant
    assert len(splits["unseen"]) == 1


def test_the_plain_model_sees_every_text_and_no_pair(folder: Path) -> None:
    with (folder / "corpus.jsonl").open("a") as file:
        file.write("\n" + json.dumps(row("\tincl\t%edi\n\tret\n", "return a + 2;", "train")) + "\n")
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines() if line.endswith("}")]
    path = folder / "whole.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    tokens = Tokens.build([(r["prompt"], r["expert"]) for r in rows])
    paired = examples.load_examples(tokens, path, frozenset())["train"]
    unpaired = examples.load_examples(tokens, path, frozenset(), paired=False)["train"]
    split = [[(tuple(ids[:at]), tuple(ids[at:])) for ids, at in part] for part in (paired, unpaired)]
    assert sorted(p for p, _ in split[0]) == sorted(p for p, _ in split[1])
    assert sorted(a for _, a in split[0]) == sorted(a for _, a in split[1])
    assert sorted(split[0]) != sorted(split[1])
