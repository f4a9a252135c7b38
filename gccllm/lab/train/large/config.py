"""A run of the large model: a TOML file, its mistakes in one line each, and the trainer's command line.

Option names are those of verl 0.9 (`verl/trainer/config/ppo_trainer.yaml`) and OpenRLHF 0.11 (`train_ppo_ray`);
`options` compares what is rendered here with the lists inside those packages.

Both commands are PPO with a critic and generalised advantages, rollouts by vLLM on the GPUs that train.
Not covered: several nodes with different GPUs, LoRA, Megatron, SGLang.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gccllm.lab.train.reward import REWARDS

REWARD_FILE = Path(__file__).with_name("hooks.py")
CONTEXT = 32768
"""Tokens of context assumed of a model whose config.json is not at hand (Qwen2.5-Coder-7B has this many)."""
CLIP = 1000.0
"""OpenRLHF clips rewards at 10 unless told otherwise, and a speed-up may be larger."""
_PLAIN_PATH = re.compile(r"[\w./~+@:-]+")


class ConfigError(Exception):
    """The file cannot be a run. `lines` holds one sentence for each mistake."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Run(BaseModel):
    """Everything a run is made of. Lengths in tokens, sizes in sequences."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    framework: Literal["verl", "openrlhf"] = "verl"
    model: str = "Qwen/Qwen2.5-Coder-7B-Instruct"
    """Name on the Hugging Face hub, or a folder."""
    reward: str = "ours"
    """A name in `gccllm.lab.train.reward.REWARDS`."""
    train_file: Path = Path("rows/train.jsonl")
    val_file: Path = Path("rows/val.jsonl")
    out: Path = Path("checkpoints")

    batch: int = Field(16, gt=0)
    """Prompts a step."""
    mini_batch: int = Field(16, gt=0)
    """Prompts an optimiser step."""
    micro_batch: int = Field(1, gt=0)
    """Sequences a GPU holds at a time."""
    rollouts: int = Field(1, gt=0)
    """Answers drawn for each prompt."""
    prompt_tokens: int = Field(4096, gt=0)
    """Twice the paper's 2,000: our prompt holds the C text and two assembly texts."""
    response_tokens: int = Field(2000, gt=0)
    context: int = Field(0, ge=0)
    """Tokens the model can hold; 0: what its config.json says."""

    actor_lr: float = Field(1e-6, gt=0)
    critic_lr: float = Field(1e-5, gt=0)
    kl: float = Field(0.0, ge=0)
    """Coefficient of the KL penalty in the reward; 0: none, and no reference model is loaded."""
    temperature: float = Field(0.5, gt=0)
    epochs: int = Field(1, gt=0)
    seed: int = Field(1, ge=0)

    nodes: int = Field(1, gt=0)
    gpus: int = Field(4, ge=0)
    """GPUs of a node."""
    tensor_parallel: int = Field(1, gt=0)
    """GPUs that one vLLM engine is spread over."""
    vllm_memory: float = Field(0.4, gt=0, lt=1)
    """Share of a GPU's memory for vLLM while it generates."""
    offload: bool = True
    """Weights and optimiser states wait in the host's memory while they are not in use."""
    reward_workers: int = Field(4, gt=0)
    """verl: processes that call the reward. Each answer is a process of its own; timings take turns on a node."""
    save_steps: int = Field(100, gt=0)
    eval_steps: int = Field(50, gt=0)


def load(path: Path) -> Run:
    """The run of a TOML file. Raises ConfigError; relative paths in it stay relative to where the trainer starts."""
    try:
        with path.open("rb") as file:
            return parse(tomllib.load(file))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path} is not TOML: {error}"]) from error


def parse(values: Mapping[str, Any]) -> Run:
    """Raises ConfigError with one line for each value that cannot be used."""
    try:
        return Run.model_validate(dict(values))
    except ValidationError as error:
        lines = []
        for row in error.errors():
            name = ".".join(str(part) for part in row["loc"])
            known = row["type"] != "extra_forbidden"
            lines.append(f"{name} is {row['input']!r}: {row['msg']}" if known else f"{name}: there is no such setting")
        raise ConfigError(lines) from error


def problems(run: Run, *, real: bool = True) -> list[str]:
    """One line for each reason why this run would not start, or would not do what it says.

    `real`: also look for the trainer, the GPUs and the files.
    """
    found: list[str] = []
    if run.reward not in REWARDS:
        found.append(f"reward is {run.reward!r}; it must be one of {', '.join(REWARDS)}")
    context, whole = run.context or context_of(run.model), run.prompt_tokens + run.response_tokens
    if whole > context:
        found.append(
            f"prompt_tokens {run.prompt_tokens} + response_tokens {run.response_tokens} = {whole} tokens;"
            f" the model holds {context}"
        )
    found += _batch_problems(run)
    for name in ("train_file", "val_file", "out"):
        if run.framework == "verl" and not _PLAIN_PATH.fullmatch(str(getattr(run, name))):
            found.append(
                f"{name} is {str(getattr(run, name))!r}; verl's command line takes letters, digits and ./~+@:-_"
            )
    for name in ("train_file", "val_file"):
        allowed = (".parquet", ".jsonl") if run.framework == "verl" else (".jsonl",)
        if (suffix := getattr(run, name).suffix) not in allowed:
            found.append(f"{name} ends in {suffix!r}; {run.framework} reads {' or '.join(allowed)}")
    return found + (_missing(run) if real else [])


def _batch_problems(run: Run) -> list[str]:
    found = []
    if run.batch % run.mini_batch:
        found.append(f"batch {run.batch} is not divisible by mini_batch {run.mini_batch}")
    gpus, sequences = run.nodes * run.gpus, run.mini_batch * run.rollouts
    if gpus and sequences % (gpus * run.micro_batch):
        found.append(
            f"mini_batch {run.mini_batch} x rollouts {run.rollouts} = {sequences} sequences are not divisible by"
            f" {gpus} GPUs x micro_batch {run.micro_batch}"
        )
    if gpus and run.gpus % run.tensor_parallel:
        found.append(f"gpus {run.gpus} is not divisible by tensor_parallel {run.tensor_parallel}")
    return found


def _missing(run: Run) -> list[str]:
    found = []
    if run.gpus == 0:
        found.append("gpus is 0; training needs at least one (`--dry-run` needs none)")
    elif (seen := _visible_gpus()) < run.gpus:
        found.append(f"gpus is {run.gpus}, but this machine shows {seen}")
    if importlib.util.find_spec(run.framework) is None:
        found.append(f"{run.framework} is not installed here")
    if is_folder(run.model) and not (Path(run.model).expanduser() / "config.json").is_file():
        found.append(f"model {run.model}: there is no config.json")
    for name in ("train_file", "val_file"):
        path: Path = getattr(run, name)
        if not path.is_file():
            found.append(f"{name} {path}: there is no such file (`prepare` makes it)")
        elif path.suffix == ".jsonl" and (wrong := _wrong_rows(run, path)):
            found.append(f"{name} {path}: {wrong}")
    return found


def _visible_gpus() -> int:
    try:
        import torch
    except ImportError:
        return 0
    return torch.cuda.device_count()


def _wrong_rows(run: Run, path: Path) -> str | None:
    """What is wrong with the first row of a file; None when nothing is."""
    with path.open(encoding="utf-8") as file:
        line = file.readline()
    try:
        row = json.loads(line)
        truth = row["reward_model"]["ground_truth"] if run.framework == "verl" else row["label"]
        reward = json.loads(truth)["reward"]
    except (ValueError, KeyError, TypeError):
        return f"its first line is no row for {run.framework}" if line else "it is empty"
    return None if reward == run.reward else f"its rows ask for reward {reward!r}, the run for {run.reward!r}"


def is_folder(model: str) -> bool:
    """Whether a model is given as a folder and not as a name on the hub."""
    return model.startswith(("/", ".", "~")) or Path(model).is_dir()


def context_of(model: str) -> int:
    """Tokens a model holds, by its config.json; CONTEXT when that is not at hand."""
    try:
        config = json.loads((Path(model).expanduser() / "config.json").read_text())
        return int(config["max_position_embeddings"])
    except (OSError, ValueError, KeyError, TypeError):
        return CONTEXT


# --- command lines --------------------------------------------------------------------------------


def command(run: Run) -> list[str]:
    return verl_command(run) if run.framework == "verl" else openrlhf_command(run)


def shell_text(words: list[str]) -> str:
    """The command as lines for a shell."""
    head, rest = words[:3], words[3:]
    lines, i = [shlex.join(head)], 0
    while i < len(rest):
        end = i + 1
        while rest[i].startswith("--") and end < len(rest) and not rest[end].startswith("--"):
            end += 1
        lines.append(shlex.join(rest[i:end]))
        i = end
    return " \\\n    ".join(lines) + "\n"


def verl_command(run: Run) -> list[str]:
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    values: dict[str, object] = {
        "algorithm.adv_estimator": "gae",
        "algorithm.use_kl_in_reward": run.kl > 0,
        "algorithm.kl_ctrl.kl_coef": run.kl,
        "data.train_files": run.train_file,
        "data.val_files": run.val_file,
        "data.train_batch_size": run.batch,
        "data.max_prompt_length": run.prompt_tokens,
        "data.max_response_length": run.response_tokens,
        "data.filter_overlong_prompts": True,
        "data.truncation": "error",
        "data.seed": run.seed,
        "actor_rollout_ref.model.path": run.model,
        "actor_rollout_ref.model.enable_gradient_checkpointing": True,
        f"{actor}.optim.lr": run.actor_lr,
        f"{actor}.ppo_mini_batch_size": run.mini_batch,
        f"{actor}.ppo_micro_batch_size_per_gpu": run.micro_batch,
        f"{actor}.use_kl_loss": False,
        f"{actor}.fsdp_config.param_offload": run.offload,
        f"{actor}.fsdp_config.optimizer_offload": run.offload,
        f"{rollout}.name": "vllm",
        f"{rollout}.n": run.rollouts,
        f"{rollout}.temperature": run.temperature,
        f"{rollout}.tensor_model_parallel_size": run.tensor_parallel,
        f"{rollout}.gpu_memory_utilization": run.vllm_memory,
        f"{rollout}.log_prob_micro_batch_size_per_gpu": run.micro_batch,
        "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu": run.micro_batch,
        "actor_rollout_ref.ref.fsdp_config.param_offload": run.offload,
        "critic.model.path": run.model,
        "critic.model.enable_gradient_checkpointing": True,
        "critic.optim.lr": run.critic_lr,
        "critic.ppo_micro_batch_size_per_gpu": run.micro_batch,
        "critic.fsdp.param_offload": run.offload,
        "critic.fsdp.optimizer_offload": run.offload,
        "reward.custom_reward_function.path": REWARD_FILE,
        "reward.custom_reward_function.name": "compute_score",
        "reward.num_workers": run.reward_workers,
        "trainer.nnodes": run.nodes,
        "trainer.n_gpus_per_node": run.gpus,
        "trainer.total_epochs": run.epochs,
        "trainer.save_freq": run.save_steps,
        "trainer.test_freq": run.eval_steps,
        "trainer.default_local_dir": run.out,
        "trainer.project_name": "gcc-llm",
        "trainer.experiment_name": f"ppo-{run.reward}",
        "trainer.logger": "[console]",
    }
    return [sys.executable, "-m", "verl.trainer.main_ppo", *(f"{key}={_word(value)}" for key, value in values.items())]


def openrlhf_command(run: Run) -> list[str]:
    values: dict[str, object] = {
        "actor.model_name_or_path": run.model,
        "critic.model_name_or_path": run.model,
        "reward.remote_url": REWARD_FILE,
        "reward.clip_range": (-CLIP, CLIP),
        "data.prompt_dataset": run.train_file,
        "data.input_key": "input",
        "data.label_key": "label",
        "data.apply_chat_template": None,
        "data.max_len": run.prompt_tokens + run.response_tokens,
        "eval.dataset": run.val_file,
        "eval.steps": run.eval_steps,
        "eval.n_samples_per_prompt": 1,
        "eval.temperature": run.temperature,
        "rollout.batch_size": run.batch,
        "rollout.micro_batch_size": run.micro_batch,
        "rollout.n_samples_per_prompt": run.rollouts,
        "rollout.max_new_tokens": run.response_tokens,
        "rollout.temperature": run.temperature,
        "train.batch_size": run.mini_batch * run.rollouts,
        "train.micro_batch_size": run.micro_batch,
        "train.num_episodes": run.epochs,
        "train.seed": run.seed,
        "train.colocate_all": None,
        "algo.advantage.estimator": "gae",
        "algo.kl.init_coef": run.kl,
        "actor.adam.lr": run.actor_lr,
        "critic.adam.lr": run.critic_lr,
        "actor.gradient_checkpointing_enable": None,
        **{f"{who}.num_nodes": run.nodes for who in ("actor", "critic", "ref")},
        **{f"{who}.num_gpus_per_node": run.gpus for who in ("actor", "critic", "ref")},
        "vllm.num_engines": run.nodes * run.gpus // run.tensor_parallel,
        "vllm.tensor_parallel_size": run.tensor_parallel,
        "vllm.gpu_memory_utilization": run.vllm_memory,
        "vllm.enable_sleep": None,
        "ds.enable_sleep": None,
        "ds.zero_stage": 3,
        **({"ds.adam_offload": None} if run.offload else {}),
        "ckpt.path": run.out / "state",
        "ckpt.output_dir": run.out,
        "ckpt.save_steps": run.save_steps,
        "ckpt.save_hf": None,
    }
    words = [sys.executable, "-m", "openrlhf.cli.train_ppo_ray"]
    for key, value in values.items():
        words.append(f"--{key}")
        if value is not None:
            words += [_word(one) for one in (value if isinstance(value, tuple) else (value,))]
    return words


def _word(value: object) -> str:
    """A value as both command lines read it. A float's shortest spelling (1e-06) is a float to both."""
    return str(value)
