"""PPO: its arithmetic against numbers made by hand, a toy task it solves, and a run that goes on where it stopped."""

from __future__ import annotations

import csv
import importlib.util
import math
import multiprocessing
import os
import random
import socket
from dataclasses import asdict, replace

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from gccllm.lab.train import parallel  # noqa: E402
from gccllm.lab.train import ppo_math as pm  # noqa: E402
from gccllm.lab.train.config import Config, Ppo  # noqa: E402
from gccllm.lab.train.model import Model, Shape  # noqa: E402
from gccllm.lab.train.plot import plot_csv, read_columns  # noqa: E402
from gccllm.lab.train.ppo import COLUMNS, Task, train  # noqa: E402
from gccllm.lab.train.ppo_batch import Batch, Drawn, Models, collect, evaluate, whiten  # noqa: E402
from gccllm.lab.train.ppo_update import Value, fit, update  # noqa: E402
from gccllm.lab.train.reward import Outcome  # noqa: E402
from gccllm.lab.train.rollout import Sampling, sample  # noqa: E402
from gccllm.lab.train.trainer import load  # noqa: E402

MASK = torch.tensor([[True, True, True], [True, True, False]])


def test_advantages_by_hand():
    """gamma 0.9, lambda 0.5. Row 1, from its end: 1 - 0.3 = 0.7; 0.9*0.3 - 0.2 = 0.07, + 0.45*0.7 = 0.385;
    0.9*0.2 - 0.1 = 0.08, + 0.45*0.385 = 0.25325. Row 2: -1 - 0.5 = -1.5; 0.2 + 0.9*0.5 - 0.4 = 0.25, - 0.675 = -0.425.
    """
    rewards = torch.tensor([[0.0, 0.0, 1.0], [0.2, -1.0, 0.0]])
    values = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 99.0]])
    found, returns = pm.advantages(rewards, values, MASK, 0.9, 0.5)
    torch.testing.assert_close(found, torch.tensor([[0.25325, 0.385, 0.7], [-0.425, -1.5, 0.0]]))
    torch.testing.assert_close(returns, torch.tensor([[0.35325, 0.585, 1.0], [-0.025, -1.0, 0.0]]))


def test_advantages_at_one_are_reward_to_come_minus_value():
    rewards, values = torch.tensor([[0.5, -0.25, 1.0]]), torch.tensor([[0.3, 0.2, 0.1]])
    found, returns = pm.advantages(rewards, values, MASK[:1], 1.0, 1.0)
    torch.testing.assert_close(returns, torch.tensor([[1.25, 0.75, 1.0]]))
    torch.testing.assert_close(found, returns - values)


@pytest.mark.parametrize(
    ("mask", "gamma"), [([[True, False, True]], 1.0), ([[False] * 3], 1.0), ([[True] * 3], 0.0), ([[True] * 3], 1.1)]
)
def test_advantages_refuse_gaps_and_odd_discounts(mask, gamma):
    with pytest.raises(ValueError):
        pm.advantages(torch.zeros(1, 3), torch.zeros(1, 3), torch.tensor(mask), gamma, 0.9)


def test_group_advantages_leave_the_own_answer_out():
    """Whole rewards 1, 2, 6 of one prompt: 1 - (2+6)/2 = -3, 2 - 3.5 = -1.5, 6 - 1.5 = 4.5."""
    rewards = torch.tensor([[0.5, 0.5], [2.0, 0.0], [4.0, 2.0]])
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    want = torch.tensor([[-3.0, -3.0], [-1.5, 0.0], [4.5, 4.5]])
    torch.testing.assert_close(pm.group_advantages(rewards, mask, 3), want)
    with pytest.raises(ValueError):
        pm.group_advantages(rewards, mask, 1)


def test_token_rewards_put_the_score_on_the_last_token():
    log_probs = torch.tensor([[-1.0, -2.0, -1.0], [-3.0, -1.0, 5.0]])
    reference = torch.tensor([[-2.0, -2.0, -1.5], [-1.0, -1.0, 0.0]])
    found = pm.token_rewards(torch.tensor([1.0, -0.6]), log_probs, reference, MASK, 0.1)
    torch.testing.assert_close(found, torch.tensor([[-0.1, 0.0, 0.95], [0.2, -0.6, 0.0]]))


def test_clipped_loss_by_hand():
    """Ratios 1.5, 0.5, 1.1, 0.5 at advantages 1, 1, -2, -1, clip 0.2. Objectives: held at 1.2; free at 0.5; free at
    -2.2; held at -0.8. The mean is (1.2 + 0.5 - 2.2 - 0.8) / 4 = -0.325, two of four are held."""
    ratios = torch.tensor([1.5, 0.5, 1.1, 0.5, 7.0])
    advantage = torch.tensor([1.0, 1.0, -2.0, -1.0, 1.0])
    mask = torch.tensor([True, True, True, True, False])
    new = ratios.log().requires_grad_()
    losses, clipped = pm.clipped_policy_losses(new, torch.zeros(5), advantage, 0.2)
    loss, held = (pm.masked_mean(x, mask) for x in (losses, clipped))
    assert float(loss.detach()) == pytest.approx(0.325)
    assert float(held) == pytest.approx(0.5)
    loss.backward()
    # d(-ratio * advantage / 4) / d(log ratio) where free, 0 where held or masked
    torch.testing.assert_close(new.grad, torch.tensor([0.0, -0.125, 0.55, 0.0, 0.0]))


def test_value_loss_by_hand():
    """Old 1, clip 0.2. New 2, return 3: max(1, (1.2-3)^2) = 3.24. New 1.1, return 0: 1.21. Half the mean: 1.1125."""
    new, old, returns = torch.tensor([2.0, 1.1]), torch.ones(2), torch.tensor([3.0, 0.0])
    assert float(pm.value_loss(new, old, returns, torch.tensor([True, True]), 0.2)) == pytest.approx(1.1125)


def test_chunks_of_a_minibatch_add_up_to_its_loss():
    new, advantage, mask = torch.randn(6), torch.randn(6), torch.tensor([True] * 5 + [False])
    losses, _ = pm.clipped_policy_losses(new, torch.zeros(6), advantage, 0.2)
    parts = [pm.masked_mean(losses[i : i + 3], mask[i : i + 3], 5.0) for i in (0, 3)]
    torch.testing.assert_close(sum(parts), pm.masked_mean(losses, mask))


def test_divergence_and_entropy_against_their_definitions():
    policy, reference = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.5, 0.3])
    exact = (policy * (policy / reference).log()).sum()
    estimates = pm.kl_estimate(policy.log(), reference.log())
    assert (estimates >= 0).all()
    torch.testing.assert_close((policy * estimates).sum(), exact)  # its mean under the policy is the divergence
    assert float(pm.entropy(torch.zeros(8))) == pytest.approx(math.log(8))
    torch.testing.assert_close(pm.entropy(policy.log() + 3), -(policy * policy.log()).sum())
    torch.testing.assert_close(
        pm.token_log_probs(policy.log()[None] + 3, torch.tensor([1])), reference[1:2].log() + math.log(0.6)
    )


def test_whitened_advantages_ignore_the_padding():
    found = whiten(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 1e6]]), MASK, torch.ones(2))
    assert float(found[MASK].mean()) == pytest.approx(0, abs=1e-6)
    assert float(found[MASK].square().mean()) == pytest.approx(1, abs=1e-5)
    assert float(found[1, 2]) == 0


END, GOOD = 1, 7
TINY = Shape(vocabulary=12, hidden=32, inner=64, layers=1, heads=2, context=32)
PROMPTS = [[3, 4], [5], [3, 5, 4], [4, 4, 4, 4], [6, 3], [5, 6], [6, 6, 6], [4]]
TOY = Ppo(
    minutes=10, prompts=8, samples=8, minibatches=2, max_tokens=6, rows_at_once=64, rate=3e-3, value_rate=3e-3, kl=0.01,
    epochs=2, target_kl=0.2, warm_up=1, baseline="value", entropy=0.0,
)  # fmt: skip


def run(out, start, score, **changed):
    """PPO on the toy task, with some settings changed."""
    return train(Config(out=out, seed=0, ppo=replace(TOY, **changed)), start, Task(PROMPTS, score, END))


def score(batch):
    """A toy verifier: an answer passes when the good word is in it, and is as fast as it has good words."""
    return [
        Outcome("pass", 1.0, 1.0 + ids.count(GOOD), 1.0 + ids.count(GOOD)) if GOOD in ids else Outcome("value")
        for _, ids in batch
    ]


@pytest.fixture
def start(tmp_path):
    torch.manual_seed(1)
    model = Model(TINY)
    torch.save({"shape": asdict(TINY), "model": model.state_dict()}, tmp_path / "sft.pt")
    return tmp_path / "sft.pt"


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("baseline", ["value", "group", "both"])
def test_ppo_raises_the_reward_of_a_toy_task(tmp_path, start, baseline):
    out = tmp_path / "run"
    run(out, start, score, baseline=baseline, iterations=18)
    rows = rows_of(out / "ppo.csv")
    assert tuple(rows[0]) == COLUMNS
    early, late = ([float(row["reward"]) for row in part] for part in (rows[:3], rows[-3:]))
    assert sum(late) / 3 > sum(early) / 3 + 0.5
    assert float(rows[-1]["pass_rate"]) > float(rows[0]["pass_rate"]) + 0.3
    assert float(rows[-1]["speedup"]) > float(rows[0]["speedup"])
    assert float(rows[0]["kl"]) < 1e-5 < float(rows[-1]["kl"])
    assert float(rows[-1]["entropy"]) < float(rows[0]["entropy"])
    assert all(float(row["sampler_gap"]) < 1e-4 for row in rows)


def test_the_value_head_learns_what_the_states_tell():
    torch.manual_seed(2)
    states = torch.randn(64, 3, 32)
    mask = torch.ones(64, 3, dtype=torch.bool)
    mask[::2, 2] = False
    returns = (states[..., 0] - 0.5 * states[..., 1]).masked_fill(~mask, 1e6)
    value, zeros = Value(32), torch.zeros(64, 3)
    optimizer = torch.optim.AdamW(value.parameters(), 1e-2)
    settings = replace(TOY, value_epochs=40, value_minibatch=50, value_clip=10.0)
    drawn = Drawn([], [], mask, torch.ones(64), torch.arange(64), torch.arange(64))
    batch = Batch(drawn, states, zeros, zeros, zeros, returns, [])
    loss = fit(value, optimizer, batch, settings, random.Random(0))
    assert loss < 0.05 * 0.5 * float(returns[mask].square().mean())


def drawn_by(model, prompts, samples, seed=3):
    """Answers of a toy model; among short ones many are equal."""
    generator = torch.Generator().manual_seed(seed)
    return sample(model, prompts, Sampling(END, samples, 2), generator)


def collected(model, value, prompts, rollouts, samples):
    worth = [float(sum(r.ids)) for r in rollouts]
    return collect(Models(model, model, value), prompts, rollouts, worth, Ppo(samples=samples, chunk_tokens=500))[0]


def gradient(model, batch, settings):
    """What one step of the updates is made from."""
    sgd = torch.optim.SGD(model.parameters(), 0.0)
    update(model, sgd, batch, settings, random.Random(0))
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def test_equal_answers_as_one_row_with_a_weight_change_nothing():
    """The step from distinct rows with weights is the step from a row for every sample."""
    torch.manual_seed(1)
    model, value = Model(TINY), Value(TINY.hidden)
    rollouts = drawn_by(model, PROMPTS[:4], 8)
    batch = collected(model, value, PROMPTS[:4], rollouts, 8)
    rows = batch.drawn.row
    assert len(batch.drawn.sample) < 32 == len(rows)
    groups = [(p, [r.ids for r in rollouts[i * 8 : i * 8 + 8]]) for i, p in enumerate(PROMPTS[:4])]
    each = Drawn(groups, [0, 8, 16, 24, 32], batch.drawn.mask[rows], torch.ones(32), torch.arange(32), torch.arange(32))
    spread = [x[rows] for x in (batch.states, batch.old, batch.values, batch.advantage, batch.returns)]
    settings = replace(TOY, prompts=4, minibatches=1, epochs=1, gradient_norm=1e9, entropy=0.01)
    one = gradient(model, batch, settings)
    other = gradient(model, Batch(each, *spread, batch.told), settings)
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(evaluate(model, each, 500)[0], batch.old[rows], rtol=1e-5, atol=1e-6)


def test_groups_whose_answers_are_worth_the_same_move_nothing():
    torch.manual_seed(1)
    model, value = Model(TINY), Value(TINY.hidden)
    rollouts = drawn_by(model, PROMPTS[:4], 4)
    worth = [0.0] * 12 + [0.0, 1.0, 0.0, 0.0]
    settings = Ppo(samples=4, chunk_tokens=500)
    found, numbers = collect(Models(model, model, value), PROMPTS[:4], rollouts, worth, settings)
    assert found.told == [3]
    assert numbers["told"] == 0.25


def _part(rank, folder, port, out):
    """One of two processes: its half of the prompts of one iteration."""
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    run(folder, folder / "sft.pt", score, iterations=4)
    torch.save(load(folder / "ppo.pt")[0].state_dict(), out / f"{rank}.pt")
    parallel.leave()


@pytest.mark.serial
def test_two_processes_share_a_run_and_end_with_the_same_weights(tmp_path, start):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    parts = [context.Process(target=_part, args=(rank, tmp_path, port, tmp_path)) for rank in range(2)]
    for part in parts:
        part.start()
    for part in parts:
        part.join(120)
    assert [part.exitcode for part in parts] == [0, 0]
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert any(not torch.equal(one[key], x) for key, x in load(start)[0].state_dict().items())
    rows = rows_of(tmp_path / "ppo.csv")
    assert [row["iteration"] for row in rows] == ["1", "2", "3", "4"]
    counted = sum(int(word.split(":")[1]) for word in rows[0]["statuses"].split())
    assert counted == TOY.prompts * TOY.samples  # of both


def test_a_warm_up_moves_the_value_head_only(tmp_path, start):
    path = run(tmp_path, start, score, warm_up=2, iterations=2)
    model, stored = load(path)  # what export and evaluation load
    reference, _ = load(start)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), reference.parameters(), strict=True))
    assert float(stored["value"]["out.bias"].abs().sum()) > 0
    assert stored["config"]["ppo"]["warm_up"] == 2


def test_a_resumed_run_is_the_unbroken_one(tmp_path, start):
    one, two = tmp_path / "one", tmp_path / "two"
    whole = run(one, start, score, iterations=5)
    run(two, start, score, iterations=3)
    with (two / "ppo.csv").open("a") as file:  # an iteration after the checkpoint, lost with the process
        file.write("4" + "," * (len(COLUMNS) - 1) + "\n")
    start.unlink()  # the reference is in the checkpoint
    broken = run(two, start, score, iterations=5)
    (a, _), (b, stored) = load(whole), load(broken)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert [row["iteration"] for row in rows_of(two / "ppo.csv")] == ["1", "2", "3", "4", "5"]
    assert [row["reward"] for row in rows_of(one / "ppo.csv")] == [row["reward"] for row in rows_of(two / "ppo.csv")]
    assert stored["iteration"] == len(stored["history"]) == 5
    with pytest.raises(ValueError, match=r"was made with ppo\.clip = 0\.2 \(now 0\.1\)"):
        run(two, start, score, clip=0.1)


def test_the_clock_stops_a_run_and_it_leaves_a_checkpoint(tmp_path, start):
    path = run(tmp_path, start, score, minutes=0.0)
    assert path.exists()
    assert rows_of(tmp_path / "ppo.csv") == []


def test_equal_answers_are_scored_once_and_unfinished_ones_never(tmp_path, start):
    asked = []

    def listening(batch):
        asked.append(batch)
        return score(batch)

    run(tmp_path, start, listening, max_tokens=2, iterations=1)
    keys = [(index, tuple(ids)) for index, ids in asked[0]]
    assert len(keys) == len(set(keys)) < 64
    assert all(END not in ids and len(ids) <= 1 for _, ids in keys)
    row = rows_of(tmp_path / "ppo.csv")[0]
    assert "none:" in row["statuses"]
    assert float(row["built"]) < 1


@pytest.mark.parametrize("wrong", [{"minibatches": 3}, {"reward": "length"}, {"baseline": "group", "samples": 1}])
def test_settings_that_do_not_go_together_are_refused(tmp_path, start, wrong):
    with pytest.raises(ValueError):
        run(tmp_path, start, score, **wrong)


def test_a_picture_of_the_curves(tmp_path):
    path = tmp_path / "ppo.csv"
    path.write_text("iteration,reward,kl,alarms\n1,0.5,,\n2,0.7,0.01,untimed;same_answer\n")
    columns, marks = read_columns(path)
    assert columns["reward"] == [0.5, 0.7]
    assert math.isnan(columns["kl"][0])
    assert marks == [(1, "untimed;same_answer")]
    if importlib.util.find_spec("matplotlib") is None:
        with pytest.raises(ModuleNotFoundError, match="matplotlib"):
            plot_csv(path, tmp_path / "a.png", "run")
        return
    plot_csv(path, tmp_path / "a.png", "run")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
