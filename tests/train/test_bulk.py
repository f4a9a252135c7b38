"""The larger model's training: what is packed is what is learnt, and the weights that come back are those that left."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gccllm.train import bulk
from gccllm.train.model import Model, Shape
from gccllm.train.sft import load, loss_of

SMALL = {"hidden": 32, "inner": 64, "layers": 2, "heads": 2}
Example = tuple[list[int], int]
words = st.integers(1, 99)
examples = st.lists(
    st.tuples(st.lists(words, min_size=1, max_size=40), st.lists(words, min_size=1, max_size=20)).map(
        lambda both: (both[0] + both[1], len(both[0]))
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=30, deadline=None)
@given(examples)
def test_every_example_is_in_a_pass_once(made: list[Example]) -> None:
    rows = bulk.Rows.of(made)
    found = [
        (length, i) for length, chosen in bulk.batches(rows, 128, np.random.default_rng(1)) for i in chosen.tolist()
    ]
    assert sorted(i for _, i in found) == list(range(len(made)))
    assert all(length >= len(made[i][0]) for length, i in found)


@settings(max_examples=20, deadline=None)
@given(examples)
def test_a_batch_has_the_loss_of_its_examples(made: list[Example]) -> None:
    torch.manual_seed(0)
    model = Model(Shape(100, **SMALL)).eval()
    batch = bulk.Loader(bulk.Rows.of(made), "cpu").batch(64, np.arange(len(made)))
    loss = functional.cross_entropy(bulk.answer_logits(model, batch, half=False), batch.goal)
    assert loss.item() == pytest.approx(loss_of(model, made)[0].item(), rel=1e-4)


def splits() -> dict[str, list[Example]]:
    made = [([1, 2, k, 3, k, 4], 4) for k in range(10, 90)]
    return {"train": made, "random": made[:5], "unseen": made[5:9], "family": made[9:12]}


def test_ids_come_back_from_the_file(tmp_path: Path) -> None:
    bulk.pack(splits(), 100, tmp_path / "ids.npz")
    found, vocabulary = bulk.unpack(tmp_path / "ids.npz")
    assert vocabulary == 100
    for name, made in splits().items():
        wanted = bulk.Rows.of(made)
        for part in ("ids", "first", "answer"):
            assert np.array_equal(getattr(found[name], part), getattr(wanted, part))
    with pytest.raises(ValueError, match="70000 words"):
        bulk.pack(splits(), 70_000, tmp_path / "ids.npz")


def test_training_learns_and_its_parts_are_a_checkpoint(tmp_path: Path) -> None:
    bulk.pack(splits(), 100, tmp_path / "ids.npz")
    bulk.train(tmp_path / "ids.npz", tmp_path / "out", 60, steps=60, step_tokens=512, shape=SMALL, part_bytes=20_000,
               speed_up=False)  # fmt: skip
    first, *_, last = (tmp_path / "out" / "curve.csv").read_text().splitlines()[1:]
    assert float(last.split(",")[7]) < float(first.split(",")[7]) / 2
    assert len(list((tmp_path / "out").glob("weights.[0-9]*"))) > 1
    bulk.join(tmp_path / "out", tmp_path / "checkpoint.pt")
    model, stored = load(tmp_path / "checkpoint.pt")
    assert model.shape == Shape(100, **SMALL)
    assert stored["step"] == 60
    assert loss_of(model, splits()["unseen"])[0].item() < 2


def test_missing_bytes_are_said(tmp_path: Path) -> None:
    bulk.weights(Model(Shape(100, **SMALL)), tmp_path, 20_000, {"trained": 0, "step": 0, "used": 0})
    last = sorted(tmp_path.glob("weights.[0-9]*"))[-1]
    last.write_bytes(last.read_bytes()[:-2])
    with pytest.raises(ValueError, match="are told of"):
        bulk.join(tmp_path, tmp_path / "checkpoint.pt")
