"""What is secret is used by runs that succeed and by runs that fail, and stands nowhere afterwards."""

import json
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import yaml

from tasks.servers import MlflowServer, PrefectServer

SQL, KEY, PASSWORD = "sql-Canary-4711", "sk-Canary-0815", "mlflow:Canary 2323"
BLOCK = "canary"
USED = (SQL, KEY, PASSWORD)


def spellings() -> set[bytes]:
    """As they are, as they stand in an address, as they are sent."""
    plain = {text for secret in USED for text in (secret, quote(secret, safe=""), quote(secret))}
    sent = {b64encode(f"me:{PASSWORD}".encode()).decode()}
    return {text.encode() for text in plain | sent}


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[str]]]:
    """A language model that answers as long as nobody removes its page, and then repeats what it was sent."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            heard.append(str(self.headers["Authorization"]))
            refused = self.path.startswith("/refused")
            first = {"token": "Yes", "logprob": -0.1, "top_logprobs": [{"token": "Yes", "logprob": -0.1}]}
            message = {"role": "assistant", "content": "Yes"}
            choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": {"content": [first]}}
            answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
            complaint = {"error": {"message": f"the key in {self.headers['Authorization']} is wrong"}}
            content = json.dumps(complaint if refused else answer).encode()
            self.send_response(401 if refused else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", heard
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def block(prefect_server: PrefectServer) -> str:
    """A Secret block that holds the password of the tracking server."""
    with httpx.Client(base_url=prefect_server.url) as api:
        kind = api.get("/block_types/slug/secret").json()["id"]
        schema = api.post("/block_schemas/filter", json={"block_schemas": {"block_type_id": {"any_": [kind]}}}).json()
        about = {"name": BLOCK, "block_type_id": kind, "block_schema_id": schema[0]["id"]}
        api.post("/block_documents/", json=about | {"data": {"value": PASSWORD}}).raise_for_status()
    return f"${{prefect-block:secret/{BLOCK}}}"


@pytest.fixture
def servers(prefect_server: PrefectServer, mlflow_server: MlflowServer) -> tuple[PrefectServer, MlflowServer]:
    return prefect_server, mlflow_server


def test_no_secret_stands_anywhere(
    kintsugi: Any, table: Any, home: Path, tmp_path: Path, endpoint: Any, block: str, servers: tuple[Any, Any]
) -> None:
    prefect_server, mlflow_server = servers
    url, heard = endpoint
    said = yaml.safe_load(table.specification.read_text())
    database = {"kind": "sql", "url": "postgresql+psycopg2://me:${CANARY}@127.0.0.1:9/db", "table": "visits"}
    sql = tmp_path / "sql.yaml"
    sql.write_text(yaml.safe_dump(said | {"source": database}))
    usual = {
        "CANARY": SQL,
        "KINTSUGI_LLM_MODEL": "m",
        "KINTSUGI_LLM_BASE_URL": f"{url}/v1",
        "KINTSUGI_LLM_API_KEY": KEY,
        "KINTSUGI_TRACKING_URI": mlflow_server.url.replace("://", f"://me:{block}@"),
    }

    def run(specification: Path, **changed: str) -> Any:
        words = ("run", "--data", specification, "--config", table.config, "--llm", "endpoint")
        return kintsugi.run(*words, **(usual | changed))

    done = run(table.specification)
    assert (done.code, done.stages["report"]) == (0, "done"), done.err
    refused = run(table.specification, KINTSUGI_LLM_BASE_URL=f"{url}/refused/v1", KINTSUGI_LLM_MODEL="other")
    assert (refused.code, refused.stages["elicit"]) == (1, "failed")
    assert "replied with status 401" in refused.sentence
    assert set(heard) == {f"Bearer {KEY}"}
    for failed in (run(sql), run(table.specification, KINTSUGI_TRACKING_URI=f"http://me:{block}@127.0.0.1:9")):
        assert (failed.code, failed.stages) == (1, {})
        assert "Connection refused" in failed.sentence
    logs = (prefect_server.folder, mlflow_server.home)
    files = [path for place in (home, kintsugi.folder, *logs) for path in place.rglob("*") if path.is_file()]
    assert len(files) > 100
    content = {path: path.read_bytes() for path in files}
    assert any(b"postgresql" in text for text in content.values())  # it was looked at where it would stand
    assert [(path, secret) for path, text in content.items() for secret in spellings() if secret in text] == []
