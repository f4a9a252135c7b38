"""The lying model, on one small kernel: the whole campaign is `gccllm bench --suite mutants`."""

from __future__ import annotations

import json

import pytest

from gccllm.lab.bench import mutants
from gccllm.lab.bench.mutants import Options, attack, main


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    return attack("djb2", tmp_path_factory.mktemp("attack"), Options(plain=12, hostile=8, trials=200, scale=1))


def test_no_hostile_text_is_admitted(attacked):
    texts = [m for m in attacked["mutants"] if m["operator"] == "text"]
    assert len(texts) == len(mutants.HOSTILE_TEXTS) + 3
    assert {m["outcome"] for m in texts} == {"refuted"}
    assert all(m["reason"] for m in texts)


def test_no_mutant_that_behaves_differently_is_admitted(attacked):
    assert len(attacked["mutants"]) > 40
    assert not [a for a in attacked["admitted"] if mutants._is_hole(a)]


def test_a_finished_kernel_is_not_attacked_again(attacked, tmp_path, monkeypatch, capsys):
    log = tmp_path / "log"
    log.write_text(json.dumps(attacked) + '\n{"kernel": "torn')
    monkeypatch.setattr(mutants, "attack", lambda *_: pytest.fail("attacked again"))
    assert main(["--only", "djb2", "--log", str(log)]) == 0
    assert "0 admitted that differ" in capsys.readouterr().out


def test_a_hole_fails_the_campaign_and_is_named(attacked, tmp_path, capsys):
    hole = {"operator": "deleted", "what": "a store", "level": 0, "harness": "NO: memory at trial 3"}
    log = tmp_path / "log"
    log.write_text(json.dumps(attacked | {"admitted": [hole]}) + "\n")
    assert main(["--only", "djb2", "--log", str(log)]) == 1
    assert "djb2: deleted: a store: NO: memory" in capsys.readouterr().out
