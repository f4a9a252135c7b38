"""The endpoint proposer against a real HTTP server that misbehaves."""

from __future__ import annotations

import json
import socket

import pytest

from gccllm.base.reasons import Reason
from gccllm.propose import Isa, Prompt, endpoint
from gccllm.propose.endpoint import EndpointProposer
from tests.kit.endpoint import Exchange, serving

PROMPT = Prompt("f", "\tmovl\t%edi, %eax\n\tret\n", isa=Isa(0, 3))
GOOD = "Sure!\n```asm\nf:\n\tleal\t(%rdi,%rdi), %eax\n\tret\n```\n"
BODY = "\tleal\t(%rdi,%rdi), %eax\n\tret\n"


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "BACKOFF_S", 0.01)


def reasons(proposer: EndpointProposer) -> list[Reason]:
    return [failure.reason for failure in proposer.failures]


def test_answer_in_prose_becomes_a_bare_body() -> None:
    with serving(lambda x: x.say(GOOD)) as fake:
        proposer = EndpointProposer(fake.url, model="m", key="secret")
        (candidate,) = proposer.propose(PROMPT, 1, 5)
    assert (candidate.body, candidate.dialect, candidate.proposer) == (BODY, "asm", "model")
    assert fake.headers[0]["authorization"] == "Bearer secret"
    assert "```asm" in fake.requests[0]["messages"][1]["content"]
    assert "secret" not in candidate.recipe


def test_n_samples_come_from_one_request_when_the_server_can() -> None:
    other = GOOD.replace("%rdi,%rdi", "%rdi,%rdi,2")
    with serving(lambda x: x.say(GOOD, other, GOOD)) as fake:
        candidates = list(EndpointProposer(fake.url).propose(PROMPT, 3, 5))
    assert len(fake.requests) == 1
    assert len(candidates) == 2  # the third is the first again


def test_server_that_refuses_n_is_asked_once_per_sample() -> None:
    def behave(x: Exchange) -> None:
        if "n" in x.body:
            x.reply(400, b'{"error": "n is not supported"}')
        else:
            x.say(GOOD.replace("%rdi,%rdi", f"%rdi,%rdi,{1 << x.number}"))

    with serving(behave) as fake:
        proposer = EndpointProposer(fake.url)
        assert len(list(proposer.propose(PROMPT, 3, 5))) == 3
    assert len({body["seed"] for body in fake.requests[1:]}) == 3
    assert proposer.failures == []


def test_server_that_ignores_n_is_asked_for_the_rest() -> None:
    with serving(lambda x: x.say(GOOD.replace("%rdi,%rdi", f"%rdi,%rdi,{1 << x.number}"))) as fake:
        assert len(list(EndpointProposer(fake.url).propose(PROMPT, 3, 5))) == 3


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_errors_are_tried_again(status: int) -> None:
    with serving(lambda x: x.say(GOOD) if x.number == 2 else x.reply(status, b"later")) as fake:
        proposer = EndpointProposer(fake.url)
        assert len(list(proposer.propose(PROMPT, 1, 5))) == 1
    assert len(fake.requests) == 3
    assert proposer.failures == []


@pytest.mark.parametrize("status", [401, 403, 404])
def test_final_errors_are_not_tried_again(status: int) -> None:
    with serving(lambda x: x.reply(status, b"no")) as fake:
        proposer = EndpointProposer(fake.url)
        assert list(proposer.propose(PROMPT, 1, 5)) == []
    assert len(fake.requests) == 1
    assert reasons(proposer) == [Reason.ENDPOINT_FAILED]
    assert str(status) in proposer.failures[0].detail


def test_server_that_keeps_failing_is_given_up() -> None:
    with serving(lambda x: x.reply(500, b"broken")) as fake:
        proposer = EndpointProposer(fake.url)
        assert list(proposer.propose(PROMPT, 1, 5)) == []
    assert len(fake.requests) == endpoint.TRIES
    assert reasons(proposer) == [Reason.ENDPOINT_FAILED]


def test_connection_cut_in_the_middle_is_tried_again() -> None:
    def behave(x: Exchange) -> None:
        if x.number == 0:
            x.reply(200, b'{"choices": [', Content_Length="1000")
            x.handler.connection.shutdown(socket.SHUT_RDWR)
        else:
            x.say(GOOD)

    with serving(behave) as fake:
        assert len(list(EndpointProposer(fake.url).propose(PROMPT, 1, 5))) == 1


def test_nobody_listening_is_a_named_failure() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proposer = EndpointProposer(f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
        assert list(proposer.propose(PROMPT, 1, 5)) == []
    assert reasons(proposer) == [Reason.ENDPOINT_FAILED]


@pytest.mark.parametrize("trickle", ["headers", "body", "nothing"])
def test_deadline_ends_a_slow_answer(trickle: str) -> None:
    def behave(x: Exchange) -> None:
        if trickle == "headers":
            x.handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        elif trickle == "body":
            x.handler.send_response(200)
            x.handler.end_headers()
        while trickle != "nothing" and not x.stopped.wait(0.05):
            x.handler.wfile.write(b" ")
        x.stopped.wait()

    with serving(behave) as fake:
        proposer = EndpointProposer(fake.url)
        assert list(proposer.propose(PROMPT, 1, 0.4)) == []
        assert reasons(proposer) == [Reason.ENDPOINT_FAILED]
        assert "deadline" in proposer.failures[0].detail


def test_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MAX_RESPONSE", 1 << 16)

    def behave(x: Exchange) -> None:
        x.handler.send_response(200)
        x.handler.end_headers()
        while not x.stopped.is_set():
            x.handler.wfile.write(b"nop\n" * 4096)

    with serving(behave) as fake:
        proposer = EndpointProposer(fake.url)
        assert list(proposer.propose(PROMPT, 1, 10)) == []
    assert "65536 bytes" in proposer.failures[0].detail
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b"null",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"choices": []}',
        b'{"choices": [{"message": 7}]}',
        b'{"choices": [{"message": {"content": null}}]}',
    ],
)
def test_garbage_is_a_named_failure(body: bytes) -> None:
    with serving(lambda x: x.reply(200, body)) as fake:
        proposer = EndpointProposer(fake.url)
        assert list(proposer.propose(PROMPT, 1, 5)) == []
    assert reasons(proposer) == [Reason.ENDPOINT_FAILED]
    assert len(fake.requests) == 1


def test_answer_without_code_is_recorded_with_its_text() -> None:
    with serving(lambda x: x.say("I am sorry, I cannot do that.")) as fake:
        proposer = EndpointProposer(fake.url)
        assert list(proposer.propose(PROMPT, 1, 5)) == []
    assert reasons(proposer) == [Reason.NO_CODE]
    assert "sorry" in proposer.failures[0].answer


def test_redirect_is_not_followed() -> None:
    with serving(lambda x: x.reply(307, b"", Location="http://127.0.0.1:9/elsewhere")) as fake:
        proposer = EndpointProposer(fake.url)
        assert list(proposer.propose(PROMPT, 1, 5)) == []
    assert "307" in proposer.failures[0].detail


@pytest.mark.parametrize(
    "url", ["", "localhost:80", "ftp://x/v1", "http://", "http://[::1/v1", "unix:///does/not/exist"]
)
def test_unusable_address_is_a_named_failure(url: str) -> None:
    proposer = EndpointProposer(url)
    assert list(proposer.propose(PROMPT, 1, 2)) == []
    assert reasons(proposer) == [Reason.ENDPOINT_FAILED]


def test_refinement_sends_the_verdicts() -> None:
    from gccllm.propose import Attempt

    prompt = PROMPT.with_attempts([Attempt("\tret\n", "wrong_value", "rax: want 7, got 8")])
    with serving(lambda x: x.say(GOOD)) as fake:
        list(EndpointProposer(fake.url).refine(prompt, 1, 5))
    assert "wrong_value: rax: want 7, got 8" in json.dumps(fake.requests[0]["messages"])
