"""Cached and packed forward passes compute what the plain one does; samples keep order, limits and likelihoods."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from gccllm.lab.train.model import Model, Shape  # noqa: E402
from gccllm.lab.train.ppo_math import token_log_probs  # noqa: E402
from gccllm.lab.train.rollout import Sampling, draw, new_cache, read_prompts, sample, step  # noqa: E402
from gccllm.lab.train.sequences import pack, packed_states  # noqa: E402

SMALL = Shape(vocabulary=40, hidden=32, inner=64, layers=2, heads=2, context=64)
END = 1
PROMPTS = [[5, 6, 7], [8, 9, 10, 11, 12, 13, 14], [15], [16, 17, 18, 19], [20, 21], [22, 23, 24, 25, 26, 27]]


@pytest.fixture
def model():
    torch.manual_seed(4)
    torch.set_num_threads(1)
    made = Model(SMALL).eval()
    with torch.no_grad():  # larger, so that the next word depends on the prompt and not every one is alike
        made.embedding.weight.mul_(3)
    return made


def generator(seed: int = 0):
    return torch.Generator().manual_seed(seed)


def plain(model, prompt, ids):
    """Log-probabilities of `ids` after `prompt`, by one forward pass over both."""
    with torch.no_grad():
        logits = model.logits(model.states(torch.tensor([[*prompt, *ids]])))[0, len(prompt) - 1 : -1]
        return token_log_probs(logits, torch.tensor(ids))


@torch.no_grad()
def test_cached_logits_are_those_of_the_plain_forward_pass(model):
    answers = torch.randint(2, 40, (len(PROMPTS), 9), generator=generator())
    cache = new_cache(model, len(PROMPTS), 20)
    logits = [read_prompts(model, PROMPTS, cache)]
    positions = torch.tensor([len(p) for p in PROMPTS])
    for t in range(answers.shape[1]):
        logits.append(step(model, answers[:, t], positions + t, cache))
    for i, prompt in enumerate(PROMPTS):
        want = model.logits(model.states(torch.tensor([[*prompt, *answers[i].tolist()]])))[0, len(prompt) - 1 :]
        got = torch.stack([x[i] for x in logits])
        torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_packed_states_are_those_of_the_plain_forward_pass(model):
    groups = [([5, 6, 7], [(8, 9, 1), (10,), (11, 12, 13, 14)]), ([20, 21], [(1,), (30, 31, 1)])]
    packed = pack(groups)
    got = token_log_probs(model.logits(packed_states(model, packed)), packed.targets)
    want = torch.cat([plain(model, prompt, list(ids)) for prompt, answers in groups for ids in answers])
    torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-4)


def test_few_rows_at_a_time_keep_order_and_likelihoods(model):
    """Finished rows give up their places and waiting prompts move in; nothing of it shows in the answers."""
    found = sample(model, PROMPTS, Sampling(END, 3, 30, rows=6), generator())
    assert [r.prompt for r in found] == [i for i in range(len(PROMPTS)) for _ in range(3)]
    assert {r.complete for r in found} == {True, False}
    assert len({len(r.ids) for r in found}) > 3
    for r in found:
        assert r.complete == (r.ids[-1] == END)
        assert END not in r.answer
        assert r.complete or len(r.ids) == 30
        torch.testing.assert_close(
            torch.tensor(r.log_probs), plain(model, PROMPTS[r.prompt], list(r.ids)), atol=2e-5, rtol=1e-4
        )


def test_fewer_places_than_half_a_group_still_finish(model):
    found = sample(model, PROMPTS, Sampling(END, 5, 6, rows=1), generator())
    assert len(found) == 30


def test_the_likeliest_word_does_not_depend_on_the_batch(model):
    greedy = Sampling(END, 1, 8, temperature=0)
    together = sample(model, PROMPTS, greedy, generator())
    alone = [sample(model, [p], greedy, generator(7))[0] for p in PROMPTS]
    assert [r.ids for r in together] == [r.ids for r in alone]


def test_words_are_drawn_as_often_as_the_model_says():
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0]).repeat(20000, 1)
    for temperature in (1.0, 0.5):
        ids, nats = draw(logits, temperature, generator(3))
        share = torch.bincount(ids, minlength=4) / len(ids)
        assert (share - (logits[0] / temperature).softmax(0)).abs().max() < 0.015
        torch.testing.assert_close(nats, logits[0].log_softmax(0)[ids])


@pytest.mark.parametrize(("prompts", "tokens"), [([[]], 4), ([list(range(2, 40))], 40), ([[3]], 0)])
def test_what_cannot_be_asked_is_refused(model, prompts, tokens):
    with pytest.raises(ValueError):
        sample(model, prompts, Sampling(END, 1, tokens), generator())


def test_no_prompt_has_no_answer(model):
    assert sample(model, [], Sampling(END, 3, 4), generator()) == []
