"""What `gccllm doctor` says of the model: each way in which it can be unusable has its own sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gccllm.propose import doctor
from tests.kit import tiny_gguf, tiny_words


def settings(path: Path, **more: Any) -> dict[str, Any]:
    return {"proposers": ("model",), "endpoint": "", "model": str(path)} | more


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_words.write_model(tmp_path, tiny_words.vocabulary([*tiny_words.ANSWERS, "return 0;"]))


def test_model_that_can_be_used_loads_and_answers(model: Path) -> None:
    assert doctor.check(settings(model))[0] == "ok"
    assert "vocabulary matches" in doctor.check(settings(model))[1]
    state, words = doctor.check_answer(settings(model))
    assert (state, words.endswith(" s")) == ("ok", True) or "says nothing" in words


def test_missing_and_damaged_models_are_warnings_with_the_next_step(model: Path) -> None:
    (model.parent / "bad.gguf").write_bytes(model.read_bytes()[:-2000])
    for path in (model.parent / "nowhere.gguf", model.parent / "bad.gguf"):
        state, words = doctor.check(settings(path))
        assert state == "warn"
        assert "recompile" in words


def test_vocabulary_of_another_model_is_said(model: Path) -> None:
    tiny_gguf.write(model, vocabulary=80)
    state, words = doctor.check(settings(model))
    assert (state, "not of one model" in words) == ("warn", True)


def test_weights_that_are_no_numbers_are_said(model: Path) -> None:
    tiny_words.write_model(model.parent, tiny_words.vocabulary([*tiny_words.ANSWERS, "return 0;"]), nan=True)
    assert doctor.check(settings(model))[0] == "ok"  # it loads
    state, words = doctor.check_answer(settings(model))
    assert (state, "NaN" in words) == ("warn", True)


def test_what_is_not_used_is_not_loaded(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.gguf"
    for check in (doctor.check, doctor.check_answer):
        assert check(settings(nowhere, proposers=("recompile",)))[0] == "ok"
    assert doctor.check_answer(settings(nowhere, endpoint="http://127.0.0.1:1"))[0] == "ok"
