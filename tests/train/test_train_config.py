"""The configuration record: from a file and a command line, and against a checkpoint's."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gccllm.lab.train import config
from gccllm.lab.train.__main__ import STAGES, main
from gccllm.lab.train.config import Config, Ppo, from_arguments

GPU = Path(config.__file__).with_name("gpu.toml")


def test_options_stand_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("seed = 7\n[ppo]\nkl = 1\nprompts = 8\n[sft]\nhidden = 32\n")
    made, words = from_arguments(["--config", str(path), "--prompts", "16", "--out", "there", "a.pt"], "ppo", "About.")
    assert (made.seed, made.ppo.kl, made.ppo.prompts, made.sft.hidden) == (7, 1.0, 16, 32)
    assert (made.out, words) == (Path("there"), ["a.pt"])
    assert made == replace(Config(), out=Path("there"), seed=7, ppo=Ppo(kl=1.0, prompts=16), sft=made.sft)


def test_the_files_that_ship_can_be_read() -> None:
    assert config.load(GPU).ppo.rows_at_once == 2048


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[ppo]\nclips = 1", "there is no ppo.clips"),
        ("[ppo]\nprompts = 1.5", "ppo.prompts is 1.5, not int"),
        ("ppo = 3", "ppo is 3, not Ppo"),
        ("seed = true", "seed is True, not int"),
        ("seed", "is not TOML"),
    ],
)
def test_a_mistake_in_a_file_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=says) as error:
        config.load(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["card", "--out", "new"], "card: [Errno 2] No such file or directory: 'new/corpus.jsonl'"),
        (["corpus", "more"], "corpus: more is no option; see --help"),
        (["eval"], f"there is no stage eval; known are {', '.join(STAGES)}"),
    ],
)
def test_a_mistake_in_a_stage_is_one_line(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == says


WITHOUT_TORCH = """
import sys
from gccllm.commands import extras
from gccllm.lab.train.__main__ import main
sys.modules["torch"] = None
extras.extra_of = {"torch": "gcc-llm-lab[train]"}.get
main(["sft"])
"""


def test_a_missing_library_is_one_line() -> None:
    ran = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr == "sft: this needs torch: in a clone, pip install './gccllm/lab[train]'\n"


def test_every_stage_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("gguf", reason="the model is written with gguf")
    main(["--help"])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]] == list(STAGES)
    for stage in STAGES:
        with pytest.raises(SystemExit) as end:
            main([stage, "--help"])
        assert end.value.code == 0
        assert f"python -m gccllm.lab.train {stage} " in capsys.readouterr().out


def test_a_stage_has_the_options_that_it_reads(tmp_path: Path) -> None:
    assert from_arguments(["--threads", "3", "--seed", "2"], "sft", "About.")[0] == Config(threads=3, seed=2)
    for words in (["--threads", "3"], ["--seed", "2"], ["--checkpoint", "a.pt"]):
        with pytest.raises(SystemExit):
            from_arguments(words, "restore", "About.")


def test_what_changes_the_result_must_be_the_checkpoints(tmp_path: Path) -> None:
    made = Config(ppo=Ppo(clip=0.2))
    other = Config(out=tmp_path, seed=2, ppo=Ppo(clip=0.3, minutes=99.0, workers=4))
    with pytest.raises(ValueError, match=r"ppo.pt was made with seed = 1 \(now 2\), ppo.clip = 0.2 \(now 0.3\): "):
        other.check_same(made.stored(), "ppo", Path("ppo.pt"))
    replace(other, seed=1, ppo=replace(other.ppo, clip=0.2)).check_same(made.stored(), "ppo", Path("ppo.pt"))
