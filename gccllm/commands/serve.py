"""`gccllm serve`: a model behind an OpenAI-compatible endpoint on this machine.

    POST /v1/chat/completions     n, temperature and seed (the built-in model ignores both), max_tokens; no streaming
    GET  /v1/models
    GET  /health

The built-in model does not read prose: its prompt is recovered from the user message, which has to be in the format of
`gccllm.propose.prompt_text`; the answer is one fenced `asm` block. Any other GGUF gets the messages as they come.

One request at a time uses the model; the others wait. Listens on 127.0.0.1 or a Unix socket; another address needs
`--allow-remote`, since there is neither a key nor encryption here.
"""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import socket as sockets
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gccllm.base.deadline import Deadline
from gccllm.propose import prompt_text
from gccllm.propose.llama import ModelError, PromptTooLong
from gccllm.propose.model import MAX_CHAT_TOKENS, BuiltinProposer, ChatProposer, model_proposer

MAX_REQUEST = 2 << 20
"""Bytes of a request's body."""
MAX_N = 64
MAX_SECONDS = 600.0
"""Longest time for one request."""


class BadRequest(Exception):
    """The request cannot be answered; `status` says how HTTP calls it."""

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.status = status


@dataclass
class Server:
    """The model and what it says, apart from HTTP."""

    path: Path | None = None
    """A GGUF; None: the built-in model."""
    threads: int = 1
    name: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.proposer = model_proposer(str(self.path or ""), threads=self.threads)
        self.name = self.name or (self.path.stem if self.path else "gccllm-builtin")

    def complete(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """A chat completion object. Raises BadRequest."""
        messages = request.get("messages")
        if not isinstance(messages, list) or not all(_is_message(message) for message in messages) or not messages:
            raise BadRequest("`messages` must be a list of {role, content} with text contents")
        if request.get("stream"):
            raise BadRequest("streaming is not offered")
        n = _number(request, "n", 1, 1, MAX_N)
        seed = _number(request, "seed", 1, -(1 << 63), (1 << 63) - 1) % (1 << 31)
        with self._lock:
            texts = self._answers(messages, n, seed, request)
        return {
            "id": f"gccllm-{time.time_ns():x}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.name,
            "choices": [
                {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                for i, text in enumerate(texts)
            ],
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        }

    def models(self) -> dict[str, Any]:
        return {"object": "list", "data": [{"id": self.name, "object": "model", "owned_by": "local"}]}

    def _answers(self, messages: list[dict[str, str]], n: int, seed: int, request: Mapping[str, Any]) -> list[str]:
        if isinstance(self.proposer, BuiltinProposer):
            prompt = prompt_text.recover(messages[-1]["content"])
            if prompt is None:
                raise BadRequest("the built-in model reads only prompts in gcc-llm's own format")
            self.proposer.failures.clear()
            ask = self.proposer.refine if prompt.attempts else self.proposer.propose
            texts = [f"```asm\n{candidate.body.rstrip()}\n```\n" for candidate in ask(prompt, n, MAX_SECONDS)]
            if not texts and self.proposer.failures:
                failure = self.proposer.failures[0]
                raise BadRequest(f"{failure.reason.label}: {failure.detail}", 503)
            return texts
        assert isinstance(self.proposer, ChatProposer)
        temperature = float(_number(request, "temperature", 0.7, 0.0, 5.0))
        max_tokens = _number(request, "max_tokens", MAX_CHAT_TOKENS, 1, 1 << 16)
        deadline = Deadline(MAX_SECONDS)
        self.proposer.seed = seed
        try:
            return [self.proposer.answer(messages, temperature, max_tokens, i, deadline) for i in range(n)]
        except PromptTooLong as error:
            raise BadRequest(str(error)) from error
        except ModelError as error:
            raise BadRequest(str(error), 503) from error


def _is_message(message: object) -> bool:
    return isinstance(message, dict) and all(isinstance(message.get(key), str) for key in ("role", "content"))


def _number(request: Mapping[str, Any], name: str, default: Any, low: Any, high: Any) -> Any:
    value = request.get(name, default)
    value = default if value is None else value
    kinds = (int, float) if isinstance(default, float) else (int,)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        raise BadRequest(f"`{name}` must be a number from {low} to {high}")
    return value


def application(server: Server) -> Any:
    """The ASGI application."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    def refused(detail: str, status: int) -> Response:
        return JSONResponse({"error": {"message": detail, "type": "invalid_request_error"}}, status)

    async def completions(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_REQUEST:
                return refused(f"more than {MAX_REQUEST} bytes", 413)
        try:
            parsed = json.loads(bytes(body))
        except (ValueError, RecursionError):
            return refused("the body is not JSON", 400)
        if not isinstance(parsed, dict):
            return refused("the body is not a JSON object", 400)
        try:
            return JSONResponse(await run_in_threadpool(server.complete, parsed))
        except BadRequest as error:
            return refused(str(error), error.status)

    async def models(request: Request) -> Response:
        return JSONResponse(server.models())

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", completions, methods=["POST"]),
            Route("/v1/models", models),
            Route("/health", health),
        ]
    )


def is_loopback(host: str) -> bool:
    """True for an address that only this machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: on a Unix socket when `socket` names one (only its owner may connect), else on TCP."""

    host: str = "127.0.0.1"
    port: int = 8080
    socket: Path | None = None
    allow_remote: bool = False


def serve(address: Address, model: Path | None = None, threads: int = 1, say: Callable[[str], None] = print) -> None:
    """Serve until interrupted.

    Raises ValueError for an address that is not this machine's own without `allow_remote`, and ModuleNotFoundError
    when the `serve` extra is not installed.
    """
    host, port, socket = address.host, address.port, address.socket
    if socket is None and not is_loopback(host) and not address.allow_remote:
        raise ValueError(
            f"{host} can be reached from other machines; there is no key here (--allow-remote if you must)"
        )
    import uvicorn

    server = Server(model, threads)
    options: dict[str, Any] = {"log_level": "warning", "access_log": False}
    # uvicorn stops in order at either signal and then raises it again: let both end here as a return does.
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        if socket is None:
            say(f"{server.name} on http://{host}:{port}/v1  (GCCLLM_ENDPOINT=http://{host}:{port}/v1)")
            uvicorn.run(application(server), host=host, port=port, **options)
            return
        with _bound(socket) as bound:
            say(f"{server.name} on unix://{socket}  (GCCLLM_ENDPOINT=unix://{socket})")
            uvicorn.Server(uvicorn.Config(application(server), **options)).run(sockets=[bound])
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _bound(path: Path) -> Iterator[sockets.socket]:
    """A Unix socket that only its owner may connect to (uvicorn's own is everybody's); removed at the end.

    Raises ValueError when something else is in its place, OSError.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ValueError(f"{path} is there and no socket")
        path.unlink()
    before = os.umask(0o177)
    try:
        bound = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        bound.bind(str(path))
    finally:
        os.umask(before)
    try:
        yield bound
    finally:
        bound.close()
        path.unlink(missing_ok=True)
