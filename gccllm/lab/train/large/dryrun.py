"""Everything but the trainer, on a random model of a few hundred kilobytes: rows, commands, generation, rewards, GGUF.

Shows that the parts fit together on any machine with gcc. Says nothing about what training would bring.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from gccllm.lab.train.large import config, convert, hooks, parity, prompts
from gccllm.propose import prompt_text

SOURCE = """\
/* Two functions with a loop each. */
int bits(unsigned long x) {
    int n = 0;
    while (x) {
        n += x & 1;
        x >>= 1;
    }
    return n;
}

int trailing(unsigned x) {
    int n = 0;
    while (n < 32 && !(x >> n & 1))
        n++;
    return n;
}
"""
ANSWERS = {
    # Counts in parallel in fields of 2, 4, 8 bits: no instruction set needed, and some times faster.
    "good": """```c
int bits(unsigned long x) {
    x -= x >> 1 & 0x5555555555555555;
    x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (int)(x * 0x0101010101010101 >> 56);
}
```""",
    # Right for numbers below 2^32 only.
    "wrong": """```c
int bits(unsigned long x) {
    return __builtin_popcount((unsigned)x);
}
```""",
    "broken": "```asm\n\tmovq\t%rdi, %eax\n\tret\n```",
}
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


class DryRunError(Exception):
    """A part did not do what it must; the message is one sentence."""


@dataclass
class Report:
    rows: int = 0
    words: dict[str, int] = field(default_factory=dict)
    """Framework -> words of its command line."""
    scores: dict[str, float] = field(default_factory=dict)
    parity: dict[str, parity.Parity] = field(default_factory=dict)


def dry_run(out: Path, say: Callable[[str], None] = print, reward_name: str = "ours") -> Report:
    """All steps in `out`. Raises DryRunError, and what the parts raise."""
    report = Report()

    # Rows, as `prepare` makes them; both functions are tested.
    out.mkdir(parents=True, exist_ok=True)
    (out / "two.c").write_text(SOURCE)
    examples, left = prompts.gather([out / "two.c"], prompts.Wanted(), reward=reward_name)
    report.rows = len(examples)
    _hold(report.rows == 2, f"2 functions should become rows, {report.rows} did; left out: {dict(left)}")
    say(f"prepare: {report.rows} rows")

    # Commands, as `command` prints them.
    for framework in ("verl", "openrlhf"):
        files = {name: out / f"{framework}-{name}.jsonl" for name in ("train", "val")}
        for split, path in files.items():
            prompts.write(examples, path, framework, split)
        run = config.parse({"framework": framework, "reward": reward_name,
                            "train_file": files["train"], "val_file": files["val"]})  # fmt: skip
        lines = config.problems(run, real=False)
        _hold(not lines, "; ".join(lines))
        report.words[framework] = len(config.command(run))
        say(f"command: {framework}, {report.words[framework]} words")

    # A model that knows nothing, and what it answers.
    example = next(e for e in examples if e.task["function"] == "bits")
    tiny_model(out / "tiny", [message["content"] for e in examples for message in e.messages])
    said = generate(out / "tiny", example.messages, tokens=32)
    truth = json.dumps(example.task)
    with _empty_cache():
        for name, answer in {"model": said, **ANSWERS}.items():
            report.scores[name] = hooks.compute_score(prompts.DATA_SOURCE, answer, truth)["score"]
            say(f"reward: {name} {report.scores[name]:.3f}")
    failing = report.scores["broken"]
    _hold(report.scores["model"] == failing, "the random model's answer must get the failing reward")
    _hold(report.scores["good"] > max(failing, report.scores["wrong"]), "the good answer must get the best reward")

    # The same weights as GGUF.
    for kind in ("f32", "q8_0"):
        report.parity[kind] = convert_and_compare(out / "tiny", out / f"tiny-{kind}.gguf", kind, example.messages)
        say(f"convert: {kind} {report.parity[kind]}")
    _hold(report.parity["f32"].same_choice == 1.0, "the f32 file must choose the same tokens")
    return report


def tiny_model(folder: Path, texts: list[str], *, architecture: str = "qwen2", is_tied: bool = False) -> None:
    """A random causal LM in bfloat16 with a byte-level BPE of 600 words, cut as Qwen cuts, and a chat template."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    pattern = next(regex for regex, name in convert.PRE_TOKENIZERS.items() if name == "qwen2")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=[], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([*texts, *parity.SAMPLES], trainer)
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(folder / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
             "chat_template": TEMPLATE, "model_max_length": 4096}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(about))

    shape: dict[str, Any] = {
        # More rows than words, as the real models have.
        "vocab_size": tokenizer.get_vocab_size() + 9, "hidden_size": 64, "intermediate_size": 96,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
        "tie_word_embeddings": is_tied, "initializer_range": 0.2,
        "bos_token_id": None, "eos_token_id": tokenizer.token_to_id("<|im_end|>"),
    }  # fmt: skip
    torch.manual_seed(7)
    model: Any
    if architecture == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(**shape))
    else:
        model = LlamaForCausalLM(LlamaConfig(**shape))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):  # they start as zeros, which would hide a bias that is lost on the way
            torch.nn.init.normal_(parameter, std=0.2)
    model.to(torch.bfloat16).save_pretrained(folder)


def load_model(folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def prompt_ids(folder: Path, messages: list[dict[str, str]]) -> list[int]:
    """The chat prompt as ids, as a trainer makes them."""
    tokenizer = _tokenizer(folder)
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    # Not verbose: it warns of lengths over the limit, which are what callers want to know.
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


@lru_cache(maxsize=4)
def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def generate(folder: Path, messages: list[dict[str, str]], tokens: int) -> str:
    """A sampled answer of up to `tokens` tokens."""
    import torch

    ids = torch.tensor([prompt_ids(folder, messages)])
    torch.manual_seed(1)
    made = load_model(folder).generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=True, temperature=0.5, pad_token_id=0
    )
    answer: str = _tokenizer(folder).decode(made[0, ids.shape[1] :], skip_special_tokens=True)
    return answer


def convert_and_compare(folder: Path, target: Path, kind: str, messages: list[dict[str, str]]) -> parity.Parity:
    """Raises DryRunError when the tokenizers differ."""
    convert.convert(folder, target, kind)
    ids = prompt_ids(folder, messages)[-192:]
    loaded = parity.Loaded(target)
    try:
        different = parity.same_tokens(loaded, folder, [*parity.SAMPLES, prompt_text.SYSTEM])
        _hold(not different, f"llama.cpp cuts {len(different)} texts differently")
        return parity.compare(loaded, load_model(folder), ids)
    finally:
        loaded.close()


@contextmanager
def _empty_cache() -> Iterator[None]:
    """Records of an earlier run would show nothing."""
    before = os.environ.get("GCCLLM_REWARD_CACHE")
    with tempfile.TemporaryDirectory(prefix="gccllm-dry-") as folder:
        os.environ["GCCLLM_REWARD_CACHE"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["GCCLLM_REWARD_CACHE"]
            else:
                os.environ["GCCLLM_REWARD_CACHE"] = before


def _hold(is_true: bool, otherwise: str) -> None:
    if not is_true:
        raise DryRunError(otherwise)
