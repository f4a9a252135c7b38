"""The large model's way without GPUs: prompts, rewards, configurations, command lines, and conversion to GGUF."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("transformers", reason="the tiny model needs transformers")
pytest.importorskip("gguf", reason="the conversion needs gguf")

from gccllm.lab.train.large import config, dryrun, hooks, options, prompts  # noqa: E402
from gccllm.lab.train.large.__main__ import main  # noqa: E402
from gccllm.lab.train.reward import REWARDS, Outcome  # noqa: E402
from gccllm.propose import prompt_text  # noqa: E402

SHIPPED = Path(config.__file__).with_name("qwen2.5-coder-7b.toml")


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[prompts.Example]:
    path = tmp_path_factory.mktemp("source") / "two.c"
    path.write_text(dryrun.SOURCE)
    return prompts.gather([path], prompts.Wanted(is_tested=False))[0]


@pytest.fixture(scope="module")
def bits(examples: list[prompts.Example]) -> prompts.Example:
    return next(example for example in examples if example.task["function"] == "bits")


# --- prompts --------------------------------------------------------------------------------------


def test_a_prompt_is_the_projects_own_and_can_be_read_back(bits: prompts.Example) -> None:
    assert [message["role"] for message in bits.messages] == ["system", "user"]
    back = prompt_text.recover(bits.messages[1]["content"])
    assert back is not None
    assert back.function == "bits"
    assert back.c_source is not None
    assert back.c_source.rstrip() in dryrun.SOURCE
    assert back.isa.allowed == bits.task["allowed"]


def test_rows_have_the_columns_each_trainer_reads(examples: list[prompts.Example], tmp_path: Path) -> None:
    prompts.write(examples, tmp_path / "v.jsonl", "verl", "train")
    prompts.write(examples, tmp_path / "o.jsonl", "openrlhf", "train")
    verl, other = prompts.read(tmp_path / "v.jsonl"), prompts.read(tmp_path / "o.jsonl")
    assert [set(row) for row in verl] == [{"data_source", "prompt", "ability", "reward_model", "extra_info"}] * 2
    assert verl[1]["extra_info"]["index"] == 1
    assert [row["prompt"] for row in verl] == [row["input"] for row in other] == [e.messages for e in examples]
    assert json.loads(verl[0]["reward_model"]["ground_truth"]) == json.loads(other[0]["label"]) == examples[0].task


def test_parquet_holds_the_same_rows(examples: list[prompts.Example], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    for name in ("rows.parquet", "rows.jsonl"):
        prompts.write(examples, tmp_path / name, "verl", "val")
    assert prompts.read(tmp_path / "rows.parquet") == prompts.read(tmp_path / "rows.jsonl")


def test_what_is_left_out_is_counted_by_reason(examples: list[prompts.Example], tmp_path: Path) -> None:
    (tmp_path / "helper.h").write_text("static int one(void) { return 1; }\n")
    path = tmp_path / "more.c"
    path.write_text('#include "helper.h"\n' + dryrun.SOURCE + "int straight(int x) { return x + one(); }\n")
    kept, left = prompts.gather([path, path, tmp_path / "none.c"], prompts.Wanted(is_tested=False))
    assert [example.task["function"] for example in kept] == [example.task["function"] for example in examples]
    assert "static int one" in kept[0].task["source"]
    assert (left["not_hot"], left["twice"], left["unreadable"]) == (2, 2, 1)
    reserved = prompts.benchmark_texts(folder=tmp_path)
    assert prompts.gather([path], prompts.Wanted(reserved=reserved, is_tested=False))[1]["benchmark"] == 2
    assert prompts.gather([path], prompts.Wanted(most_tokens=100, is_tested=False))[1]["prompt_too_long"] == 2


def test_a_split_goes_by_program() -> None:
    held = [prompts.is_validation(f"folder/{i}.c", 0.1) for i in range(1000)]
    assert 60 < sum(held) < 140
    assert held == [prompts.is_validation(f"elsewhere/{i}.c", 0.1) for i in range(1000)]


# --- rewards --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scored(
    on_its_own: None, bits: prompts.Example, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, float]]:
    """The parts of the reward of each answer, by the gate itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GCCLLM_REWARD_CACHE", str(tmp_path_factory.mktemp("rewards")))
        copy = f"```c\n{dryrun.SOURCE.partition('int trailing')[0]}```<|im_end|>"
        answers = {**dryrun.ANSWERS, "copy": copy}
        return {name: hooks.compute_score("gcc-llm", text, json.dumps(bits.task)) for name, text in answers.items()}


def test_a_good_answer_is_worth_most_and_a_broken_one_least(scored: dict[str, dict[str, float]]) -> None:
    good, copy, wrong, broken = (scored[name]["score"] for name in ("good", "copy", "wrong", "broken"))
    assert good > wrong > copy == broken
    assert scored["broken"]["score"] == REWARDS["ours"](Outcome("build"))


def test_the_parts_say_why(scored: dict[str, dict[str, float]]) -> None:
    assert scored["good"]["passed"] == scored["good"]["passed_share"] == 1.0
    assert scored["good"]["over_o3"] >= 1.0
    assert 0 < scored["wrong"]["passed_share"] < 1
    assert scored["copy"]["is_copy"] == 1.0
    assert [row["undecided"] for row in scored.values()] == [0.0] * 4


@pytest.mark.parametrize("answer", ["", "no code here", "```c\n```", "x" * 300_000])
def test_an_answer_without_code_needs_no_process(
    answer: str, bits: prompts.Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "_in_a_process", lambda task: pytest.fail("a process was started"))
    found = hooks.compute_score("gcc-llm", answer, json.dumps(bits.task))
    assert found["score"] == REWARDS["ours"](Outcome("build"))


@pytest.mark.parametrize("truth", ["", "{}", "[1]", None, '{"source": 1}'])
def test_a_row_that_is_not_ours_gets_the_failing_reward(truth: str) -> None:
    assert hooks.compute_score("other", dryrun.ANSWERS["good"], truth)["score"] == REWARDS["ours"](Outcome("build"))


def test_what_was_learnt_is_cached_and_what_was_not_is_asked_again(
    bits: prompts.Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCCLLM_REWARD_CACHE", str(tmp_path))
    asked: list[str] = []
    statuses = iter(("died", "value", "value"))

    def process(task: dict[str, Any]) -> Outcome:
        asked.append(task["answer"])
        return Outcome(next(statuses), reason="noisy")

    monkeypatch.setattr(hooks, "_in_a_process", process)
    for status, calls in (("died", 1), ("value", 2), ("value", 2)):
        assert hooks.judged(bits.task, "Sure:\n" + dryrun.ANSWERS["wrong"]).status == status
        assert len(asked) == calls
    hooks.judged({**bits.task, "function": "other"}, dryrun.ANSWERS["wrong"])
    assert len(asked) == 3


def test_a_process_that_ends_badly_is_undecided(bits: prompts.Example) -> None:
    assert hooks._in_a_process({**bits.task, "answer": 7}).status == "died"


def test_the_prompts_own_code_is_never_taken_for_the_answer(bits: prompts.Example) -> None:
    prompt = f"<|im_start|>user\n{bits.messages[1]['content']}<|im_end|>\n<|im_start|>assistant\n"
    assert hooks.answer_of(prompt + "hello<|im_end|>", prompt) == "hello<|im_end|>"
    assert hooks.answer_of("cut on the left" + prompt + "hello", prompt) == "hello"
    assert hooks.answer_of(bits.messages[1]["content"], prompt) == ""


def test_the_file_works_when_a_trainer_loads_it_by_its_path() -> None:
    spec = importlib.util.spec_from_file_location("some_name", config.REWARD_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.compute_score(data_source="x", solution_str="y", ground_truth="{}", extra_info={"num_turns": None})
    assert {type(value) for value in found.values()} == {float}


def test_openrlhf_gets_tensors(bits: prompts.Example, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "judged", lambda task, answer: Outcome("build", reason=answer))
    found = hooks.reward_func(["pa", "pb"], ["p", "p"], [json.dumps(bits.task)] * 2)
    assert found["rewards"].tolist() == [-1.0, -1.0]
    assert found["scores"].shape == found["extra_logs"]["over_o3"].shape == (2,)


# --- configurations -------------------------------------------------------------------------------


def test_the_shipped_configuration_is_right_for_both_trainers() -> None:
    run = config.load(SHIPPED)
    assert config.problems(run, real=False) == []
    assert config.problems(run.model_copy(update={"framework": "openrlhf"}), real=False) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"prompt_tokens": 32000}, "prompt_tokens 32000 + response_tokens 2000 = 34000 tokens; the model holds 32768"),
        ({"batch": 20}, "batch 20 is not divisible by mini_batch 16"),
        ({"gpus": 3}, "mini_batch 16 x rollouts 1 = 16 sequences are not divisible by 3 GPUs x micro_batch 1"),
        ({"tensor_parallel": 3}, "gpus 4 is not divisible by tensor_parallel 3"),
        ({"reward": "best"}, "reward is 'best'; it must be one of correctness, ours, speedup"),
        ({"train_file": "a b.jsonl"}, "verl's command line takes letters"),
        ({"framework": "openrlhf", "val_file": "v.parquet"}, "val_file ends in '.parquet'; openrlhf reads .jsonl"),
    ],
)
def test_each_mistake_is_one_line(values: dict[str, Any], said: str) -> None:
    lines = config.problems(config.parse(values), real=False)
    assert len(lines) == 1
    assert said in lines[0]


def test_values_that_cannot_be_are_one_line_each() -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.parse({"batch": 0, "framework": "trl", "colour": "red"})
    assert [line.partition(" ")[0].rstrip(":") for line in caught.value.lines] == ["framework", "batch", "colour"]


def test_a_real_run_needs_gpus_a_trainer_and_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "_visible_gpus", lambda: 0)
    Path("t.jsonl").write_text(json.dumps({"reward_model": {"ground_truth": '{"reward": "speedup"}'}}) + "\n")
    run = config.parse({"model": "./none", "train_file": "t.jsonl", "val_file": "v.jsonl"})
    said = "\n".join(config.problems(run))
    for part in (
        "gpus is 4, but this machine shows 0",
        "./none: there is no config.json",
        "its rows ask for reward 'speedup', the run for 'ours'",
        "v.jsonl: there is no such file",
    ):
        assert part in said
    assert "training needs at least one" in config.problems(run.model_copy(update={"gpus": 0}))[0]


# --- command lines --------------------------------------------------------------------------------


def test_the_commands_are_ppo_with_a_critic_and_our_reward() -> None:
    run = config.load(SHIPPED)
    verl = config.command(run)
    assert verl[1:3] == ["-m", "verl.trainer.main_ppo"]
    given = dict(word.partition("=")[::2] for word in verl[3:])
    assert given["algorithm.adv_estimator"] == "gae"
    assert given["critic.model.path"] == given["actor_rollout_ref.model.path"] == run.model
    assert (float(given["actor_rollout_ref.actor.optim.lr"]), float(given["critic.optim.lr"])) == (1e-6, 1e-5)
    assert given["actor_rollout_ref.rollout.name"] == "vllm"
    assert given["algorithm.use_kl_in_reward"] == "False"
    other = config.openrlhf_command(run)
    assert other[1:3] == ["-m", "openrlhf.cli.train_ppo_ray"]
    for name, value in (("algo.advantage.estimator", "gae"), ("rollout.temperature", "0.5"), ("data.max_len", "6096")):
        assert other[other.index(f"--{name}") + 1] == value
    for path in (given["reward.custom_reward_function.path"], other[other.index("--reward.remote_url") + 1]):
        assert "def compute_score" in Path(path).read_text()
        assert "def reward_func" in Path(path).read_text()


def test_the_printed_command_is_the_command() -> None:
    for framework in ("verl", "openrlhf"):
        words = config.command(config.parse({"framework": framework}))
        assert shlex.split(config.shell_text(words).replace("\\\n", "")) == words


def test_an_option_that_the_trainer_does_not_have_is_found() -> None:
    pytest.importorskip("yaml", reason="verl's list is YAML")
    words = ["python", "-m", "x", "a.b=1", "a.c=2", "list=[1]"]
    assert options.unknown("verl", words, "a:\n  b: 1\n  other: {}\nlist: [2]\n") == ["a.c"]
    text = 'parser.add_argument("--one", type=int)\nparser.add_argument(\n    f"--{prefix}.adam.lr")\n'
    words = ["python", "-m", "x", "--one", "1", "--critic.adam.lr", "2", "--two"]
    assert options.unknown("openrlhf", words, text) == ["--two"]


@pytest.mark.parametrize("framework", ["verl", "openrlhf"])
def test_every_rendered_option_is_in_the_trainers_own_list(framework: str) -> None:
    """With the trainer installed, or fetched by name (without its dependencies) where GCCLLM_FETCH is 1."""
    pytest.importorskip("yaml", reason="verl's list is YAML")
    try:
        if os.environ.get("GCCLLM_FETCH") == "1":
            text = options.fetched(framework, options.TESTED[framework])
        else:
            text = options.installed(framework)
    except options.NoList as error:
        pytest.skip(str(error))
    assert options.unknown(framework, config.command(config.parse({"framework": framework})), text) == []


# --- the command line of our own ------------------------------------------------------------------


def test_check_and_command_run(tmp_path: Path) -> None:
    runner = CliRunner()
    assert "nothing is wrong" in runner.invoke(main, ["check", "--without-gpu", str(SHIPPED)]).output
    assert "verl.trainer.main_ppo" in runner.invoke(main, ["command", str(SHIPPED)]).output
    bad = tmp_path / "bad.toml"
    bad.write_text("batch = 20\ngpus = 3\n")
    refused = runner.invoke(main, ["command", str(bad)])
    assert refused.exit_code == 1
    assert "batch 20 is not divisible by mini_batch 16" in refused.output
