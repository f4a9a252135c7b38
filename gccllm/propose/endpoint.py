"""Candidates from an OpenAI-compatible server: llama-server, vLLM, `gccllm serve`, a hosted one.

The server is not trusted with anything but text: answers are capped in size and time, errors are recorded, and nothing
it sends is acted on. Transport errors, 429 and 5xx are tried again with exponential backoff and jitter; every other
status is final. Servers that refuse or ignore `n` are asked once per sample.

Not covered: streaming, tool calls, servers that need more than a bearer key, redirects (refused).
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from gccllm.base.core import Candidate
from gccllm.base.deadline import Deadline
from gccllm.base.reasons import Reason
from gccllm.propose import prompt_text
from gccllm.propose.answers import to_candidate
from gccllm.propose.protocol import Failure, Prompt

MAX_RESPONSE = 4 << 20
"""Bytes of one response."""
TRIES = 4
BACKOFF_S = 0.25
"""Wait before the second try; doubles with each further one, times 0.5 to 1.5 at random, never past the deadline."""
MAX_TOKENS = 4096
TEMPERATURE = 0.7


class EndpointError(Exception):
    """The server did not answer as asked. `status` is 0 when there was no complete HTTP answer."""

    def __init__(self, detail: str, status: int = 0) -> None:
        super().__init__(detail)
        self.status = status

    @property
    def is_passing(self) -> bool:
        """Worth another try."""
        return self.status == 0 or self.status == 429 or self.status >= 500


class FinalError(EndpointError):
    """The answer is complete and useless; asking again would not help."""

    @property
    def is_passing(self) -> bool:
        return False


@dataclass
class EndpointProposer:
    """The `model` proposer behind `GCCLLM_ENDPOINT`: `http://host:port/v1`, `https://…/v1` or `unix:///path`."""

    url: str
    model: str = "default"
    key: str = ""
    seed: int = 1
    name: str = "model"
    failures: list[Failure] = field(default_factory=list)
    _client: httpx.Client | None = field(default=None, repr=False)
    _takes_n: bool = True

    def propose(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        deadline = Deadline(deadline_s)
        seen: set[str] = set()
        for number, text in enumerate(self._answers(prompt, n, deadline)):
            made = to_candidate(
                text, prompt, f"{self.model} at {self.url}, seed {self.seed}, sample {number}", deadline
            )
            if isinstance(made, Failure):
                self.failures.append(made)
            elif made.body not in seen:
                seen.add(made.body)
                yield made

    def refine(self, prompt: Prompt, n: int, deadline_s: float) -> Iterator[Candidate]:
        return self.propose(prompt, n, deadline_s)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _answers(self, prompt: Prompt, n: int, deadline: Deadline) -> Iterator[str]:
        """Up to `n` answer texts; a failure is recorded and ends the iteration."""
        got = 0
        while got < n and not deadline.is_over:
            asked = n - got if self._takes_n else 1
            try:
                texts = self._ask(prompt, asked, self.seed + got, deadline)
            except EndpointError as error:
                if asked > 1 and error.status in (400, 404, 422, 501):
                    self._takes_n = False
                    continue
                self.failures.append(Failure(Reason.ENDPOINT_FAILED, str(error)))
                return
            if len(texts) < asked:
                self._takes_n = False
            yield from texts[:asked]
            got += len(texts)

    def _ask(self, prompt: Prompt, n: int, seed: int, deadline: Deadline) -> list[str]:
        """At least one answer text. Raises EndpointError."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": prompt_text.messages(prompt),
            "temperature": TEMPERATURE,
            "max_tokens": MAX_TOKENS,
            "seed": seed,
            "stream": False,
        }
        if n > 1:
            body["n"] = n
        for attempt in range(TRIES):
            try:
                return _texts(self.request("POST", "chat/completions", body, deadline))
            except EndpointError as error:
                wait = BACKOFF_S * 2**attempt * random.uniform(0.5, 1.5)
                if not error.is_passing or attempt == TRIES - 1 or wait >= deadline.left:
                    raise
                time.sleep(wait)
        raise AssertionError("unreachable")

    def request(self, method: str, path: str, body: Mapping[str, Any] | None, deadline: Deadline) -> bytes:
        """The bytes of a response with status 200. Raises EndpointError.

        The exchange runs in a thread of its own that is left behind at the deadline: the client's time-outs are per
        packet, and a server that trickles headers would hold us for as long as it likes.
        """
        client = self._connect()
        box: list[bytes | BaseException] = []

        def exchange() -> None:
            try:
                box.append(self._exchange(client, method, path, body, deadline))
            except BaseException as error:  # handed to the waiting thread
                box.append(error)

        thread = threading.Thread(target=exchange, daemon=True, name="gccllm-endpoint")
        thread.start()
        thread.join(deadline.left + 0.05)
        if not box:
            self._client = None  # the thread still uses it
            raise FinalError("no complete answer before the deadline")
        if isinstance(box[0], BaseException):
            raise box[0]
        return box[0]

    def _exchange(
        self, client: httpx.Client, method: str, path: str, body: Mapping[str, Any] | None, deadline: Deadline
    ) -> bytes:
        headers = {"Accept-Encoding": "identity"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        received = bytearray()
        try:
            left = max(0.001, deadline.left)
            with client.stream(method, path, json=body, headers=headers, timeout=left) as response:
                for chunk in response.iter_raw():
                    received += chunk
                    if len(received) > MAX_RESPONSE:
                        raise FinalError(f"more than {MAX_RESPONSE} bytes in one response")
                    if deadline.is_over:
                        raise FinalError("no complete answer before the deadline")
                if response.status_code != 200:
                    said = received[:200].decode("utf-8", "replace").strip()
                    raise EndpointError(f"status {response.status_code}: {said}", response.status_code)
        except httpx.TimeoutException as error:
            raise FinalError("no complete answer before the deadline") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise EndpointError(f"{type(error).__name__}: {error}") from error
        return bytes(received)

    def _connect(self) -> httpx.Client:
        """The client for `url`, made once. Raises FinalError for an unusable address."""
        if self._client is None:
            try:
                self._client = _client(self.url)
            except (ValueError, httpx.InvalidURL) as error:
                usable = "http://…/v1, https://…/v1 or unix:///path"
                raise FinalError(f"GCCLLM_ENDPOINT is {self.url!r}; it must be {usable}") from error
        return self._client


def _client(url: str) -> httpx.Client:
    """Raises ValueError, httpx.InvalidURL."""
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path:
        transport = httpx.HTTPTransport(uds=parts.path)
        return httpx.Client(transport=transport, base_url="http://localhost/v1/", trust_env=False)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(url)
    # A proxy of the environment must not come between us and this machine.
    is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return httpx.Client(base_url=url.rstrip("/") + "/", trust_env=not is_local)


def _texts(response: bytes) -> list[str]:
    """The contents of a chat completion. Raises FinalError for anything that is not one."""
    try:
        parsed = json.loads(response)
        texts = [choice["message"]["content"] for choice in parsed["choices"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FinalError(f"not a chat completion: {response[:120].decode('utf-8', 'replace')!r}") from error
    texts = [text for text in texts if isinstance(text, str)]
    if not texts:
        raise FinalError("a chat completion without text")
    return texts


def models(url: str, *, key: str = "", deadline_s: float = 5.0) -> list[str]:
    """Names of the models that a server lists. Raises EndpointError."""
    proposer = EndpointProposer(url, key=key)
    try:
        parsed = json.loads(proposer.request("GET", "models", None, Deadline(deadline_s)))
        return [str(row["id"]) for row in parsed["data"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FinalError("no list of models") from error
    finally:
        proposer.close()
