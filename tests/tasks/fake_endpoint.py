"""A language model behind an endpoint on the loopback address, that answers what a test's script says."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import log
from threading import Lock, Thread
from typing import Any

Body = dict[str, Any]
Reply = tuple[int, dict[str, str], bytes]
Script = Callable[[int, Body], Reply]
JSON = {"Content-Type": "application/json"}


class FakeEndpoint:
    """Answers the n-th request as the script says; remembers what was asked."""

    def __init__(self) -> None:
        self.script: Script = lambda _number, _body: completion("Yes", {"Yes": 0.5})
        self.bodies: list[Body] = []
        self.keys: list[str | None] = []
        self.url = ""


@contextmanager
def serving() -> Iterator[FakeEndpoint]:
    """The endpoint while the block runs."""
    fake, lock = FakeEndpoint(), Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:  # several questions may come at once
                number = len(fake.bodies)
                fake.bodies.append(body)
                fake.keys.append(self.headers["Authorization"])
            status, headers, content = fake.script(number, body)
            try:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def completion(text: str, masses: dict[str, float] | None = None, tokens: tuple[int, int] | None = None) -> Reply:
    """A chat completion as providers send it, with the tokens of question and answer where they count them."""
    top = [{"token": token, "logprob": log(mass), "bytes": None} for token, mass in (masses or {}).items()]
    logprobs = {"content": [{**top[0], "top_logprobs": top}], "refusal": None} if masses else None
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": logprobs}
    body: Body = {"id": "1", "object": "chat.completion", "created": 1, "model": "fake", "choices": [choice]}
    if tokens:
        names = ("prompt_tokens", "completion_tokens", "total_tokens")
        body["usage"] = dict(zip(names, (*tokens, sum(tokens)), strict=True))
    return 200, JSON, json.dumps(body).encode()


def refused(status: int, headers: dict[str, str] | None = None, message: str = "no") -> Reply:
    return status, {**JSON, **(headers or {})}, json.dumps({"error": {"message": message}}).encode()
