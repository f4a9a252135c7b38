"""The supervised trainer's batches, the file of ids, and the parts of weights: what comes back is what left."""

import json
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch.nn import functional  # noqa: E402

from gccllm.lab.train import pack, sft  # noqa: E402
from gccllm.lab.train.config import Config, Sft  # noqa: E402
from gccllm.lab.train.corpus import mark, read  # noqa: E402
from gccllm.lab.train.model import Model, Shape  # noqa: E402
from gccllm.lab.train.trainer import CHECKPOINT, Loader, Rows, answer_logits, batches, load, save  # noqa: E402

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
    lengths = [len(ids) for ids, _ in made]
    found = list(batches(lengths, Sft(step_tokens=128, window=7), random.Random(1)))
    assert sorted(i for chosen in found for i in chosen) == list(range(len(made)))
    assert all(len(chosen) == 1 or len(chosen) * max(lengths[i] for i in chosen) <= 128 for chosen in found)
    short = [i for chosen in batches(lengths, Sft(), random.Random(1), longest=20) for i in chosen]
    assert sorted(short) == [i for i, length in enumerate(lengths) if length <= 20]


def plain_loss(model: Model, made: list[Example]) -> float:
    """Mean cross-entropy over the answers' tokens, an example at a time."""
    losses = [
        functional.cross_entropy(
            model.logits(model.states(torch.tensor([ids[:-1]])))[0, at - 1 :], torch.tensor(ids[at:]), reduction="none"
        )
        for ids, at in made
    ]
    return torch.cat(losses).mean().item()


@pytest.mark.parametrize("multiple", [1, 16])
@settings(max_examples=20, deadline=None)
@given(made=examples)
def test_a_batch_has_the_loss_of_its_examples(made: list[Example], multiple: int) -> None:
    torch.manual_seed(0)
    model = Model(Shape(100, **SMALL)).eval()
    batch = Loader(Rows.of(made), torch.device("cpu")).batch(range(len(made)), multiple)
    loss = functional.cross_entropy(answer_logits(model, batch), batch.goal)
    assert loss.item() == pytest.approx(plain_loss(model, made), rel=1e-4)
    assert batch.ids.shape[1] % multiple == 0


def splits() -> dict[str, list[Example]]:
    made = [([1, 2, k, 3, k, 4], 4) for k in range(10, 90)]
    return {"train": made, "random": made[:5], "unseen": made[5:9], "family": made[9:12]}


def test_ids_come_back_from_the_file(tmp_path: Path) -> None:
    pack.pack(splits(), 100, tmp_path / "ids.npz")
    found, vocabulary = pack.unpack(tmp_path / "ids.npz")
    assert vocabulary == 100
    for name, made in splits().items():
        wanted = Rows.of(made)
        for part in ("ids", "first", "answer"):
            assert np.array_equal(getattr(found[name], part), getattr(wanted, part))
    with pytest.raises(ValueError, match="70000 words"):
        pack.pack(splits(), 70_000, tmp_path / "ids.npz")


def test_training_on_ids_learns_and_its_parts_are_a_checkpoint(tmp_path: Path) -> None:
    pack.pack(splits(), 100, tmp_path / "ids.npz")
    small = Sft(minutes=1e6, steps=60, step_tokens=512, curriculum=0.0, data=str(tmp_path / "ids.npz"), **SMALL)
    path = sft.train(Config(out=tmp_path, sft=small))
    first, last = (tmp_path / "curve.csv").read_text().splitlines()[1:]
    assert float(last.split(",")[7]) < float(first.split(",")[7]) / 2
    pack.part(path, tmp_path / "out", part_bytes=20_000)
    assert len(list((tmp_path / "out").glob("weights.[0-9]*"))) > 1
    pack.join(tmp_path / "out", tmp_path / "joined.pt")
    model, stored = load(tmp_path / "joined.pt")
    assert model.shape == Shape(100, **SMALL)
    assert stored["step"] == 60
    assert plain_loss(model, splits()["unseen"]) < 2


def test_a_checkpoint_without_a_configuration_keeps_its_size(tmp_path: Path) -> None:
    pack.pack(splits(), 100, tmp_path / "ids.npz")
    save(tmp_path / CHECKPOINT, Model(Shape(100, **SMALL)), {"used": 0.0, "trained": 0, "step": 0})
    for steps, sizes in ((1, {}), (2, SMALL), (3, {})):
        s = Sft(minutes=1e6, steps=steps, curriculum=0.0, data=str(tmp_path / "ids.npz"), **sizes)
        model, stored = load(sft.train(Config(out=tmp_path, sft=s)))
        assert stored["step"] == steps
        assert model.shape == Shape(100, **SMALL)
        assert stored["config"]["sft"]["hidden"] == SMALL["hidden"]


def test_ids_have_no_other_prompts_to_answer(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unpaired needs the corpus"):
        sft.train(Config(out=tmp_path, sft=Sft(data="ids.npz", unpaired=True)))


def test_missing_bytes_are_said(tmp_path: Path) -> None:
    pack.weights(Model(Shape(100, **SMALL)), tmp_path, 20_000, {"trained": 0, "step": 0, "used": 0})
    last = sorted(tmp_path.glob("weights.[0-9]*"))[-1]
    last.write_bytes(last.read_bytes()[:-2])
    with pytest.raises(ValueError, match="are told of"):
        pack.join(tmp_path, tmp_path / "checkpoint.pt")


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
    pack.pack_corpus(tmp_path, tmp_path / "large" / "ids.npz")
    fresh = {r["prompt"] for r in read(tmp_path / "large" / "ppo" / "fresh.jsonl")}
    trained = {r["prompt"] for r in read(tmp_path / "trained.jsonl")}
    untimed = {str(r["prompt"]) for r in rows if r["split"] == "train" and r["ticks"] == (0, 0, 0)}
    assert fresh == {prompt for prompt in untimed if mark(prompt) % 16 == 0} != set()
    assert not fresh & trained
    assert {r["split"] for r in read(tmp_path / "large" / "ppo" / "corpus.jsonl")} == {"unseen"}


@pytest.mark.parametrize("name", ["run.sh", "gpu.sh"])
def test_a_script_is_a_script(name: str) -> None:
    script = Path(pack.__file__).with_name(name)
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
