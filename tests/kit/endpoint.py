"""A real HTTP server on 127.0.0.1 that answers chat completions as a test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Exchange:
    """One request under way: what came, and what to send back."""

    handler: BaseHTTPRequestHandler
    body: dict[str, Any]
    number: int
    """0 for the first request of the server's life."""
    stopped: threading.Event

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.handler.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        self.handler.wfile.write(body)

    def say(self, *texts: str) -> None:
        """A chat completion with these answers."""
        choices = [{"index": i, "message": {"role": "assistant", "content": t}} for i, t in enumerate(texts)]
        self.reply(200, json.dumps({"object": "chat.completion", "choices": choices}).encode())


@dataclass
class Fake:
    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def serving(behave: Callable[[Exchange], None]) -> Iterator[Fake]:
    """A server for the length of the block; `behave` is called once a request, each in its own thread."""
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            number = len(fake.requests)
            fake.requests.append(body)
            fake.headers.append({name.lower(): value for name, value in self.headers.items()})
            with suppress(ConnectionError):  # the client gave up, as some tests want it to
                behave(Exchange(self, body, number, stopped))

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake = Fake(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()
