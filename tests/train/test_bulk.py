"""The larger model's training: what is packed is what is learnt, and the weights that come back are those that left."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch.nn import functional  # noqa: E402

from gccllm.lab.train import bulk  # noqa: E402
from gccllm.lab.train.corpus import mark, read  # noqa: E402
from gccllm.lab.train.model import Model, Shape  # noqa: E402
from gccllm.lab.train.sft import load, loss_of  # noqa: E402

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
    bulk.train(tmp_path / "ids.npz", tmp_path / "out", 1e6, steps=60, step_tokens=512, shape=SMALL, part_bytes=20_000,
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


def row(number: int, split: str, ticks: tuple[int, int, int]) -> dict[str, object]:
    """A function that returns a number; timed where it has ticks."""
    return {
        "prompt": f"\tmovl\t${number}, %eax\n\tret\n", "split": split, "answer": f"return {number};",
        "expert": f"return {number};", "c": "", "types": ["i32", ["i32"]], "kinds": [], "values": [],
        "family": "f", "key": f"f/k/{number % 3}/x", "status": "pass", "tests": 24, "ticks": ticks, "recipe": "",
    }  # fmt: skip


def test_prompts_for_ppo_are_not_trained_on(tmp_path: Path) -> None:
    rows = [row(n, "unseen" if n % 10 == 0 else "train", (0, 0, 0) if n % 2 else (9, 9, 3)) for n in range(400)]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    bulk.pack_corpus(tmp_path, tmp_path / "large" / "ids.npz")
    fresh = {r["prompt"] for r in read(tmp_path / "large" / "ppo" / "fresh.jsonl")}
    trained = {r["prompt"] for r in read(tmp_path / "trained.jsonl")}
    untimed = {str(r["prompt"]) for r in rows if r["split"] == "train" and r["ticks"] == (0, 0, 0)}
    assert fresh == {prompt for prompt in untimed if mark(prompt) % 16 == 0} != set()
    assert not fresh & trained
    assert {r["split"] for r in read(tmp_path / "large" / "ppo" / "corpus.jsonl")} == {"unseen"}


def test_the_script_for_the_gpu_is_a_script() -> None:
    script = Path(bulk.__file__).with_name("gpu.sh")
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
