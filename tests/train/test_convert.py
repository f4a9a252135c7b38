"""Hugging Face weights as GGUF: the same tokens and the same next words, or a refusal in one sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("transformers", reason="the tiny model needs transformers")
pytest.importorskip("gguf", reason="the conversion needs gguf")

from gccllm.lab.train.large import convert, dryrun, parity  # noqa: E402
from gccllm.lab.train.large.__main__ import main  # noqa: E402
from gccllm.propose import prompt_text  # noqa: E402

MESSAGES = [{"role": "system", "content": prompt_text.SYSTEM}, {"role": "user", "content": dryrun.SOURCE}]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    dryrun.tiny_model(folder, [message["content"] for message in MESSAGES])
    return folder


def test_the_converted_model_computes_what_transformers_computes(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="parity needs llama.cpp")
    exact = dryrun.convert_and_compare(tiny, tmp_path / "tiny.gguf", "f32", MESSAGES)
    assert exact.same_choice == 1.0
    assert exact.most_apart < 1e-3
    rounded = dryrun.convert_and_compare(tiny, tmp_path / "tiny.gguf", "f16", MESSAGES)
    assert rounded.same_choice > 0.97
    packed = dryrun.convert_and_compare(tiny, tmp_path / "tiny.gguf", "q8_0", MESSAGES)
    assert packed.same_choice > 0.8


@pytest.mark.parametrize(("architecture", "is_tied"), [("qwen2", True), ("llama", False)])
def test_tied_and_llama_models_too(architecture: str, is_tied: bool, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="parity needs llama.cpp")
    dryrun.tiny_model(tmp_path / "m", [prompt_text.SYSTEM], architecture=architecture, is_tied=is_tied)
    exact = dryrun.convert_and_compare(tmp_path / "m", tmp_path / "m.gguf", "f32", MESSAGES)
    assert exact.same_choice == 1.0


def _edit(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    whole = json.loads((folder / name).read_text())
    change(whole)
    (folder / name).write_text(json.dumps(whole))


def _tensors(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def _spoil(folder: Path, what: str) -> None:
    norm, up = "model.norm.weight", "model.layers.0.mlp.up_proj.weight"
    if what == "nan":
        _tensors(folder, lambda tensors: tensors[norm].__setitem__(3, float("nan")))
    elif what == "missing":
        _tensors(folder, lambda tensors: tensors.pop(up))
    elif what == "extra":
        _tensors(folder, lambda tensors: tensors.__setitem__("lora.weight", torch.ones(2)))
    elif what == "large":
        _tensors(folder, lambda tensors: tensors[up].__setitem__((0, 0), 1e6))
    elif what == "vocabulary":
        _edit(folder, "tokenizer.json", lambda whole: whole["added_tokens"][0].__setitem__("id", 9999))
    elif what == "cut":
        split = {"type": "Split", "pattern": {"Regex": "."}}
        _edit(folder, "tokenizer.json", lambda whole: whole.__setitem__("pre_tokenizer", split))
    elif what == "shape":
        _edit(folder, "config.json", lambda whole: whole.__setitem__("intermediate_size", 128))
    elif what == "rope":
        _edit(folder, "config.json", lambda whole: whole.__setitem__("rope_parameters", {"rope_type": "yarn"}))
    elif what == "architecture":
        _edit(folder, "config.json", lambda whole: whole.__setitem__("architectures", ["GemmaForCausalLM"]))
    elif what == "end":
        _edit(folder, "tokenizer_config.json", lambda whole: whole.pop("eos_token"))
    else:
        (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nan", "tensor model.norm.weight holds values that are not finite"),
        ("missing", "tensors are missing, the first is model.layers.0.mlp.up_proj.weight"),
        ("extra", "1 tensors have no place in this architecture, the first is lora.weight"),
        ("large", "does not fit into f16"),
        ("vocabulary", "the tokenizer has a token 9999"),
        ("cut", "name for this pre-tokenizer is not known"),
        ("shape", "config.json says"),
        ("rope", "rotary embeddings are scaled (yarn)"),
        ("architecture", "architecture GemmaForCausalLM is not one of"),
        ("end", "names no eos_token"),
        ("files", "there are no .safetensors files"),
    ],
)
def test_a_spoiled_folder_is_refused_with_one_sentence(what: str, said: str, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "spoiled"
    shutil.copytree(tiny, folder)
    _spoil(folder, what)
    with pytest.raises(convert.ConvertError) as caught:
        convert.convert(folder, tmp_path / "out.gguf", "f16")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.glob("out*")) == []


def test_a_tokenizer_that_cuts_differently_is_noticed(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="needs llama.cpp")
    convert.convert(tiny, tmp_path / "m.gguf", "q8_0")
    other = tmp_path / "other"
    shutil.copytree(tiny, other)
    _edit(other, "tokenizer.json", lambda whole: whole["model"].__setitem__("merges", whole["model"]["merges"][:40]))
    loaded = parity.Loaded(tmp_path / "m.gguf")
    try:
        assert parity.same_tokens(loaded, tiny) == []
        assert parity.same_tokens(loaded, other) != []
    finally:
        loaded.close()


def test_convert_runs(tiny: Path, tmp_path: Path) -> None:
    made = CliRunner().invoke(main, ["convert", str(tiny), str(tmp_path / "m.gguf")])
    assert "tokenizer agrees" in made.output, made.output
