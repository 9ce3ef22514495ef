"""The audit of dependencies, against databases that know something, know nothing, and are not there."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from tasks.servers import free_port

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "audit.py"
KNOWN = {("jinja2", "2.4.1"): ["GHSA-old"], ("toy", "1.0"): ["GHSA-new", "GHSA-gone"]}
ABOUT = {
    "GHSA-old": {"summary": "old"},
    "GHSA-new": {"summary": "toys break", "aliases": ["CVE-2030-1"]},
    "GHSA-gone": {"summary": "no longer true", "withdrawn": "2030-01-01T00:00:00Z"},
}


@contextmanager
def database(answer: Callable[[str, Any], Any]) -> Iterator[str]:
    """A database of vulnerabilities that answers what ``answer`` makes of path and body; None is a 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said = answer(self.path, json.loads(body) if body else None)
            content = json.dumps(said).encode()
            self.send_response(404 if said is None else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def osv(path: str, body: Any) -> Any:
    if path == "/v1/querybatch":
        asked = [(query["package"]["name"], query["version"]) for query in body["queries"]]
        assert all(query["package"]["ecosystem"] == "PyPI" for query in body["queries"])
        return {
            "results": [{"vulns": [{"id": name} for name in KNOWN[pair]]} if pair in KNOWN else {} for pair in asked]
        }
    return ABOUT[path.removeprefix("/v1/vulns/")]


def audit(url: str, folder: Path, accepted: dict[str, dict[str, str]] | None = None) -> tuple[int, str]:
    constraints = folder / "constraints.txt"
    constraints.write_text("# locked\ntoy==1.0\nTidy_Toy[all]==2.0 ; sys_platform == 'linux'\n")
    allowed = folder / "audit.yaml"
    known = yaml.safe_load((ROOT / ".ci" / "audit.yaml").read_text())
    allowed.write_text(yaml.safe_dump(known | (accepted or {})))
    words = ["--database", url, "--constraints", str(constraints), "--accepted", str(allowed)]
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, cwd=folder)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_a_vulnerability_that_nobody_accepted_fails(tmp_path: Path) -> None:
    with database(osv) as url:
        code, said = audit(url, tmp_path)
    assert code == 1
    assert "toy  GHSA-new CVE-2030-1  in 1.0: toys break\n    NOT ACCEPTED" in said
    assert "GHSA-gone" not in said
    assert "GHSA-old" not in said
    assert "vulnerabilities in 2 locked packages: 1 found, 1 not accepted" in said


@pytest.mark.parametrize("name", ["GHSA-new", "CVE-2030-1", "toy"])
def test_an_accepted_one_passes_with_its_reason(tmp_path: Path, name: str) -> None:
    with database(osv) as url:
        code, said = audit(url, tmp_path, {"vulnerabilities": {name: "no toys here"}})
    assert code == 0
    assert "accepted: no toys here" in said


def test_what_is_accepted_and_gone_is_said(tmp_path: Path) -> None:
    with database(osv) as url:
        code, said = audit(url, tmp_path, {"vulnerabilities": {"GHSA-new": "no toys", "GHSA-healed": "old"}})
    assert code == 0
    assert "GHSA-healed is accepted and no longer found" in said


@pytest.mark.parametrize("answer", [None, {}, {"results": [{}, {}, {}]}, []])
def test_a_database_that_knows_nothing_is_not_good_news(tmp_path: Path, answer: Any) -> None:
    with database(lambda *_: answer) as url:
        code, said = audit(url, tmp_path)
    assert code == 0
    assert f"NOT AUDITED for vulnerabilities: {url}" in said
    assert "locked packages" not in said


def test_a_database_that_cannot_be_reached_is_said_plainly(tmp_path: Path) -> None:
    code, said = audit(f"http://127.0.0.1:{free_port()}", tmp_path)
    assert code == 0
    assert "NOT AUDITED for vulnerabilities" in said
    assert "Connection refused" in said


def test_a_reason_must_be_given(tmp_path: Path) -> None:
    (tmp_path / "audit.yaml").write_text("vulnerabilities: {GHSA-new: }\n")
    words = ["--accepted", str(tmp_path / "audit.yaml")]
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert "a name to a reason" in done.stderr


def licences(folder: Path, **packages: str) -> subprocess.CompletedProcess[str]:
    """The audit of packages that are made of nothing but their metadata; the first one needs all the others."""
    for name, about in packages.items():
        place = folder / f"{name}-1.0.dist-info"
        place.mkdir()
        needs = "".join(f"Requires-Dist: {other}\n" for other in packages if other != name and name == "maker")
        (place / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{needs}{about}")
    (folder / "none.yaml").write_text("")
    (folder / "none.txt").write_text("")
    words = ["--package", "maker", "--accepted", str(folder / "none.yaml"), "--constraints", str(folder / "none.txt")]
    words += ["--database", f"http://127.0.0.1:{free_port()}"]
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(folder), "PATH": ""},
    )


def test_licences_that_bind_are_told_from_those_that_do_not(tmp_path: Path) -> None:
    done = licences(
        tmp_path,
        maker="License-Expression: Apache-2.0\n",
        gpl="License-Expression: GPL-3.0-or-later\n",
        agpl="Classifier: License :: OSI Approved :: GNU Affero General Public License v3\n",
        old_gpl="License: GPLv2\n",
        silent="",
        lesser="Classifier: License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)\n",
        lgpl="License-Expression: LGPL-2.1-only\n",
        either="License-Expression: MIT OR GPL-2.0-only\n",
        mit="License: MIT\n",
    )
    assert done.returncode == 1
    bound = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ") and "NOT" not in line]
    assert bound == ["agpl", "gpl", "old-gpl", "silent"]
    assert "licences of 8 packages at run time: 4 found, 4 not accepted" in done.stdout


def test_the_package_as_it_is_locked_may_be_given_away(tmp_path: Path) -> None:
    with database(osv) as url:
        words = ["--database", url]
        done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    locked = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    assert f"vulnerabilities in {len(locked)} locked packages: 0 found" in done.stdout
    assert "no longer found" not in done.stdout
