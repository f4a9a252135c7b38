"""`gccllm serve` over real sockets, asked by our own endpoint proposer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gccllm.commands.serve import MAX_REQUEST, Address, is_loopback, serve
from gccllm.propose import Isa, Prompt, endpoint, prompt_text
from gccllm.propose.endpoint import EndpointProposer
from tests.kit import tiny_gguf

# The server of the tests: real but for the tokens, which are letters here.
SERVER = """
import sys
from collections.abc import Sequence
from pathlib import Path
from gccllm.commands import serve
from types import SimpleNamespace
import numpy as np
from gccllm.propose import builtin_model as model

class Letters:
    words, follows, end = tuple(f"<{i}>" for i in range(64)), None, 7
    def encode_prompt(self, prompt): return [8 + ord(c) % 40 for c in prompt.short][:60]
    def decode_answer(self, ids, prompt): return f"return a[0] + {sum(ids)};"

class Anything:
    start = 0
    def row(self, state): return np.ones(64, np.bool_)
    def step(self, state, token): return 0

model.load_tokens = lambda path: Letters()
model.Constraint = lambda *about: Anything()
kind, where, path = sys.argv[1:]
place = {"socket": Path(where)} if kind == "socket" else {"port": int(where)}
serve.serve(serve.Address(**place), Path(path), say=lambda text: None)
"""

PROMPT = Prompt("f", "\tmovl\t%edi, %eax\n\tret\n", isa=Isa(0, 3), signature="int f(const unsigned char *a, long n)")


@contextmanager
def running(socket: Path, model: Path) -> Iterator[httpx.Client]:
    """A server process on a Unix socket, and a client of it."""
    argv = [sys.executable, "-c", SERVER, "socket", str(socket), str(model)]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    client = httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://localhost", timeout=60)
    try:
        for _ in range(600):
            assert child.poll() is None, child.stdout and child.stdout.read().decode()
            try:
                client.get("/health")
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield client
    finally:
        client.close()
        child.terminate()
        child.wait(20)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, str]]:
    """The built-in kind of model: a GGUF with tokens.json beside it."""
    home = tmp_path_factory.mktemp("served")
    tiny_gguf.write(home / "tiny.gguf", context=256)
    (home / "tokens.json").write_text("{}")
    with running(home / "s", home / "tiny.gguf") as client:
        yield client, f"unix://{home / 's'}"


def ask(client: httpx.Client, **changes: object) -> httpx.Response:
    return client.post("/v1/chat/completions", json={"messages": prompt_text.messages(PROMPT)} | changes)


def test_our_endpoint_proposer_gets_candidates_of_the_built_in_kind(served: tuple[httpx.Client, str]) -> None:
    proposer = EndpointProposer(served[1], seed=3)
    candidates = list(proposer.propose(PROMPT, 12, 60))
    assert proposer.failures == []
    assert candidates
    assert all(candidate.dialect == "asm" and candidate.body.startswith("\t") for candidate in candidates)


def test_same_seed_gives_the_same_answers(served: tuple[httpx.Client, str]) -> None:
    first, second = (ask(served[0], n=6, seed=5).json()["choices"] for _ in range(2))
    assert first == second
    assert first


def test_models_and_health_are_listed(served: tuple[httpx.Client, str]) -> None:
    assert endpoint.models(served[1]) == ["tiny"]
    assert served[0].get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"nonsense", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b"[" * 50_000, 400),
        (b'{"messages": []}', 400),
        (b'{"messages": [{"role": "user", "content": 3}]}', 400),
        (b'{"messages": [{"role": "user", "content": "write me a poem"}]}', 400),
        (b'{"messages": [{"role": "user", "content": "x"}], "n": 0}', 400),
        (b'{"messages": [{"role": "user", "content": "x"}], "n": 1000000}', 400),
        (b'{"messages": [{"role": "user", "content": "x"}], "n": true}', 400),
        (b'{"messages": [{"role": "user", "content": "x"}], "stream": true}', 400),
        (b" " * (MAX_REQUEST + 1), 413),
    ],
)
def test_bad_requests_are_refused_and_the_server_lives(
    served: tuple[httpx.Client, str], body: bytes, status: int
) -> None:
    response = served[0].post("/v1/chat/completions", content=body)
    assert response.status_code == status
    assert response.json()["error"]["message"]
    assert served[0].get("/health").status_code == 200


def test_only_the_owner_may_connect_to_the_socket(served: tuple[httpx.Client, str]) -> None:
    assert os.stat(served[1].removeprefix("unix://")).st_mode & 0o077 == 0


def test_other_gguf_gets_the_messages_as_they_come(tmp_path: Path) -> None:
    path = tiny_gguf.write(tmp_path / "chat.gguf", vocabulary=300, context=512, chat=True)
    with running(tmp_path / "s", path) as client:
        response = ask(client, messages=[{"role": "user", "content": "hello"}], n=2, max_tokens=8)
    assert response.status_code == 200
    assert len(response.json()["choices"]) == 2


def test_model_that_is_not_there_is_said_in_the_answer(tmp_path: Path) -> None:
    (tmp_path / "tokens.json").write_text("{}")
    with running(tmp_path / "s", tmp_path / "missing.gguf") as client:
        response = ask(client)
    assert response.status_code == 503
    assert "model_absent" in response.json()["error"]["message"]


def test_socket_of_a_dead_server_is_taken_over_and_removed_at_the_end(tmp_path: Path) -> None:
    import socket

    path = tiny_gguf.write(tmp_path / "m.gguf", vocabulary=300, chat=True)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "s"))
    left.close()
    with running(tmp_path / "s", path) as client:
        assert client.get("/health").status_code == 200
    assert not (tmp_path / "s").exists()


def test_file_in_the_place_of_the_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    with pytest.raises(ValueError, match="no socket"):
        serve(Address(socket=tmp_path / "precious"), say=lambda text: None)
    assert (tmp_path / "precious").read_text() == "data"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "::", "example.org"])
def test_address_that_others_can_reach_needs_the_flag(host: str) -> None:
    with pytest.raises(ValueError, match="allow-remote"):
        serve(Address(host))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_addresses_need_no_flag(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "localhost.example.org", "0.0.0.0", ""])
def test_names_that_only_look_local_need_the_flag(host: str) -> None:
    assert not is_loopback(host)
