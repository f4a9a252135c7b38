"""Models that are absent, broken, slow or hostile: gcc's own object comes out, silently, and the reason is recorded."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from gccllm.assembly import Module, canonical
from gccllm.propose import SCALAR
from gccllm.propose.tokens import Tokens
from tests.kit import tiny_gguf, tiny_words
from tests.kit.endpoint import Exchange, serving
from tests.kit.project import PRINTED, Project

# A right and much faster `total` would be admitted; each of these is wrong, or not assembly, in its own way.
HOSTILE = {
    "incbin": 'total:\n\t.incbin "/etc/passwd"\n\tret\n',
    "include": '\t.include "/etc/passwd"\n\tret\n',
    "repeat": "\t.rept 1000000000\n\tnop\n\t.endr\n\tret\n",
    "system call": "\tmovl\t$60, %eax\n\tsyscall\n\tret\n",
    "jump outside": "\tjmp\tabort\n",
    "jump into the blue": "\txorl\t%eax, %eax\n\tjmp\t*%rax\n",
    "section": '\t.section .evil,"awx",@progbits\n\t.quad 0\n\t.text\n\tret\n',
    "constructor": '\t.section .init_array,"aw"\n\t.quad total\n\t.text\n\tret\n',
    "endless loop": ".L1:\n\tjmp\t.L1\n",
    "falls off": "\txorl\t%eax, %eax\n",
    "clobbers rbx": "\txorl\t%ebx, %ebx\n\txorl\t%eax, %eax\n\tret\n",
    "writes": "\tmovl\t$0, (%rdi)\n\txorl\t%eax, %eax\n\tret\n",
    "reads far": "\tmovq\t65536(%rdi), %rax\n\tret\n",
    "wrong": "\tmovl\t%esi, %eax\n\tret\n",
    "stack": "\tpushq\t%rax\n\tret\n",
    "prose": "I am sorry, I cannot help with that.",
    "empty": "",
    "binary": "\x00\x01\x02\x7f",
    "symbol": "\tcall\tsystem\n\tret\n",
    "define": "\t.globl main\nmain:\n\tret\n",
}


def test_no_hostile_answer_gets_in_and_each_has_a_reason(project: Project) -> None:
    def behave(exchange: Exchange) -> None:
        exchange.say(*[f"```asm\n{text}```" for text in HOSTILE.values()])

    with serving(behave) as fake:
        own = project.builds_quietly(GCCLLM_ENDPOINT=fake.url, GCCLLM_SAMPLES=str(len(HOSTILE)), GCCLLM_REFINE="0")
        assert fake.requests
    assert own == project.gccs_own()
    entry = project.entry()
    assert entry["outcome"] == "nothing"
    assert {"directive", "forbidden_instruction", "wrong_value"} <= set(entry["refusals"])
    assert all(attempt["outcome"] != "accepted" for attempt in entry["attempts"])


@pytest.mark.parametrize(
    "content",
    [None, b"", b"GGUF", b"GGUF" + bytes(100_000), bytes(range(256)) * 1000],
    ids=["absent", "empty", "head", "zeros", "junk"],
)
def test_a_model_file_that_is_none_leaves_gccs_object(project: Project, content: bytes | None) -> None:
    path = project.directory / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    assert project.builds_quietly(GCCLLM_MODEL=str(path)) == project.gccs_own()
    assert "model_absent" in project.reasons()


def _damaged(project: Project, damage: str) -> Path:
    """A model of the built-in kind beside the project, that could be asked but for the damage."""
    flags = ["-O3", *SCALAR, "-fcf-protection=none", "-S", "-o", "-", "total.c"]
    text = subprocess.run(["gcc", *flags], cwd=project.directory, capture_output=True, text=True, check=True).stdout
    scalar = canonical(Module.parse(text).functions["total"].body)
    tokens = Tokens.build([(scalar, "return SUM(i64, b, a, x);")])
    path = tiny_words.write_model(project.directory, tokens, nan=damage == "nan")
    if damage == "foreign":
        tiny_gguf.write(path, vocabulary=64)
    if damage == "tokens":
        (project.directory / "tokens.json").write_text('{"schema": 2, "words": [1, 2]}')
    if damage == "short":
        path.write_bytes(path.read_bytes()[:-5000])
    return path


@pytest.mark.parametrize(
    ("damage", "reason"),
    [("nan", "model_failed"), ("foreign", "model_absent"), ("tokens", "model_absent"), ("short", "model_absent")],
)
def test_a_damaged_model_of_our_kind_leaves_gccs_object(project: Project, damage: str, reason: str) -> None:
    path = _damaged(project, damage)
    assert project.builds_quietly(GCCLLM_MODEL=str(path)) == project.gccs_own()
    assert reason in project.reasons()


def test_a_server_that_is_not_there_leaves_gccs_object(project: Project) -> None:
    assert project.builds_quietly(GCCLLM_ENDPOINT="http://127.0.0.1:9/v1", GCCLLM_BUDGET="20") == project.gccs_own()
    assert "endpoint_failed" in project.reasons()
    assert not (project.store / "rewrites").exists(), "a transport failure says nothing of the function"


def _dies_in_the_middle(exchange: Exchange) -> None:
    exchange.handler.send_response(200)
    exchange.handler.send_header("Content-Length", "100000")
    exchange.handler.end_headers()
    exchange.handler.wfile.write(b'{"choices": [')
    exchange.handler.wfile.flush()
    exchange.handler.connection.close()


def _never_ends(exchange: Exchange) -> None:
    exchange.handler.send_response(200)
    exchange.handler.end_headers()
    while not exchange.stopped.is_set():
        exchange.handler.wfile.write(b" " * 65536)


@pytest.mark.parametrize(
    "behave",
    [
        _dies_in_the_middle,
        _never_ends,
        lambda exchange: exchange.reply(500, b"oops"),
        lambda exchange: exchange.reply(200, b"not json"),
        lambda exchange: exchange.reply(200, b'{"choices": [{"message": {"content": 7}}]}'),
        lambda exchange: exchange.say("```asm\n" + "\tnop\n" * 200_000 + "\tret\n```"),
    ],
    ids=["dies", "endless", "error", "no-json", "odd-json", "huge"],
)
def test_a_server_that_misbehaves_leaves_gccs_object(project: Project, behave) -> None:  # type: ignore[no-untyped-def]
    with serving(behave) as fake:
        own = project.builds_quietly(
            GCCLLM_ENDPOINT=fake.url, GCCLLM_BUDGET="20", GCCLLM_SAMPLES="1", GCCLLM_REFINE="0"
        )
    assert own == project.gccs_own()
    assert project.leftovers() == []


def test_a_server_that_sleeps_costs_no_more_than_the_budget(project: Project) -> None:
    with serving(lambda exchange: exchange.stopped.wait(120) and None) as fake:
        started = time.monotonic()
        own = project.builds_quietly(GCCLLM_ENDPOINT=fake.url, GCCLLM_BUDGET="8")
        took = time.monotonic() - started
    assert own == project.gccs_own()
    assert took < 60  # budget, grace and a slow machine; the server would have slept for two minutes
    assert project.prints() == PRINTED


@pytest.mark.serial
def test_a_right_answer_is_linked(project: Project) -> None:
    """The neighbour of all of the above: a good answer changes the object, and the program is right."""
    good = Path(__file__).with_name("total_fast.s").read_text()
    with serving(lambda exchange: exchange.say(f"```asm\n{good}```")) as fake:
        for _ in range(3):
            if project.builds_quietly(GCCLLM_ENDPOINT=fake.url, GCCLLM_SAMPLES="1") != project.gccs_own():
                break
            assert "noisy" in project.reasons(), project.reasons()  # a busy machine: the next build takes it up again
    assert project.entry()["proposer"] == "model"
    assert project.prints() == PRINTED


def test_a_model_that_was_not_there_is_no_verdict(project: Project) -> None:
    project.builds_quietly(GCCLLM_MODEL="/nowhere.gguf", GCCLLM_PROPOSERS="model")
    assert "model_absent" in project.reasons()
    good = Path(__file__).with_name("total_fast.s").read_text()
    with serving(lambda exchange: exchange.say(f"```asm\n{good}```")) as fake:
        project.builds_with_a_rewrite(GCCLLM_ENDPOINT=fake.url, GCCLLM_SAMPLES="1")
