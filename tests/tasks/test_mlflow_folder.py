import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click import Command

from components.contracts import Column, Posterior
from components.features import FeatureMap
from components.heads import Linear
from components.integrity import folder_digest
from components.predictor import Predictor
from tasks.packaging import Candidate, quiet_pyfunc
from tasks.registry import champion, load_predictor, register
from tasks.servers import free_port
from tasks.settings import Settings
from tasks.tracking import open_tracking

FOLDER = Path(__file__).parents[2] / "mlflow"
FILES = ("server", "serving")


def settings(name: str) -> dict[str, dict[str, object]]:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


def readme_words(command: str) -> list[str]:
    """The words of the README's one shell block that runs ``command``."""
    blocks = re.findall(r"```sh\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    (found,) = [block for block in blocks if f"{command} --" in block]
    return shlex.split(found.replace("\\\n", " "))


def click_command(name: str) -> Command:
    quiet_pyfunc()
    if name == "server":
        from mlflow.cli import server

        return server
    from mlflow.models.cli import commands

    return commands.commands["serve"]


@pytest.mark.parametrize("name", FILES)
def test_the_readme_gives_the_command_that_the_settings_make(name: str) -> None:
    given = settings(name)
    words = readme_words(str(given["command"]))
    assert set(words[: len(given["environment"])]) == {f"{k}={v}" for k, v in given["environment"].items()}
    options = words[len(given["environment"]) + len(str(given["command"]).split()) :]
    assert dict(zip(options[::2], options[1::2], strict=True)) == {
        f"--{k}": str(v) for k, v in given["options"].items()
    }


@pytest.mark.parametrize("name", FILES)
def test_every_option_is_one_of_the_installed_mlflow(name: str) -> None:
    known = {option for parameter in click_command(name).params for option in parameter.opts}
    assert {f"--{option}" for option in settings(name)["options"]} <= known


def test_the_folder_holds_settings_only() -> None:
    assert {path.suffix for path in FOLDER.iterdir()} == {".yaml", ".md"}


@contextmanager
def running(words: list[str], changes: dict[str, str], log: Path) -> Iterator[None]:
    """The README's command as it stands but for ``changes``, from its start to its end by process id."""
    environment = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
    command = [changes.get(word, word) for word in words[len(environment) :]]
    script = [str(Path(sys.executable).parent / command[0]), *command[1:]]
    environment = {name: changes.get(value, value) for name, value in environment.items()}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with log.open("wb") as out:
        process = subprocess.Popen(
            script, env=os.environ | environment | {"PATH": path}, stdout=out, stderr=out, cwd=log.parent
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def answer(url: str, log: Path, seconds: float = 90) -> bytes:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as page:
                return page.read()
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def small_predictor(rows: pd.DataFrame) -> Predictor:
    """A predictor that has learnt nothing: a wide posterior around weights of one half."""
    features = FeatureMap.fit(rows, (Column("age", unit="years"), Column("bmi"), Column("smoker", kind="flag")))
    head = Linear()
    layout = head.layout(features.transform(rows).shape[1])
    weights = sum(int(np.prod(shape)) for _, shape in layout)
    return Predictor(features, head, Posterior(layout, np.full(weights, 4.0), np.full(weights, 2.0)))


BAD: dict[str, tuple[dict[str, object], str]] = {
    "a column is absent": ({"columns": ["age", "smoker"], "data": [[1.0, 0.0]]}, "bmi"),
    "text for a number": ({"columns": ["age", "bmi", "smoker"], "data": [["old", 22.0, 1.0]]}, "age"),
    "no flag": (
        {"columns": ["age", "bmi", "smoker"], "data": [[50.0, 22.0, 7.0]]},
        "column 'smoker' must hold 0, 1, true or false, got 7.0",
    ),
}


@pytest.mark.server
def test_the_readmes_commands_start_track_register_and_serve(tmp_path: Path) -> None:
    rows = pd.DataFrame(np.random.default_rng(0).normal(50, 10, (40, 2)), columns=["age", "bmi"])
    rows["smoker"] = np.arange(40.0) % 2
    predictor = small_predictor(rows)
    predictor.save(tmp_path / "predictor")
    track, serve = free_port(), free_port()
    uri, log = f"http://127.0.0.1:{track}", tmp_path / "server.log"
    changes = {
        "5000": str(track),
        "sqlite:///$HOME/kintsugi/mlflow.db": f"sqlite:///{tmp_path}/mlflow.db",
        "$HOME/kintsugi/artifacts": str(tmp_path / "artifacts"),
        "localhost,localhost:5000,127.0.0.1,127.0.0.1:5000": f"127.0.0.1:{track}",
    }
    with running(readme_words("mlflow server"), changes, log):
        answer(f"{uri}/health", log)
        tracking = open_tracking(Settings(tracking_uri=uri), "served")
        with tracking.tracked_run("register") as run:
            run(0, 1, {"loss": 0.5})
            made = register(
                tracking,
                run.run_id,
                "kintsugi-nhanes",
                Candidate(tmp_path / "predictor", rows.head(), "small", {}),
                promote=True,
            )
        assert tracking.client.get_run(run.run_id).data.metrics["loss"] == 0.5
        assert urllib.request.urlopen(tracking.run_url(run.run_id), timeout=5).status == 200
        assert champion(tracking, "kintsugi-nhanes") == made
        assert folder_digest(load_predictor(tracking, "models:/kintsugi-nhanes@champion")) == made.digest
        words = ["5001", "http://127.0.0.1:5000"]
        log = tmp_path / "serving.log"
        with running(readme_words("mlflow models serve"), dict(zip(words, [str(serve), uri], strict=True)), log):
            answer(f"http://127.0.0.1:{serve}/ping", log)
            got = json.loads(post(f"http://127.0.0.1:{serve}/invocations", rows.to_dict(orient="split", index=False)))
            for split, told in BAD.values():
                with pytest.raises(urllib.error.HTTPError) as refused:
                    post(f"http://127.0.0.1:{serve}/invocations", split)
                body = refused.value.read().decode()
                assert refused.value.code == 400, body
                assert told in body
                assert "Traceback" not in body
                assert "stack_trace" not in body
            many = pd.concat([rows] * 25).to_dict(orient="split", index=False)
            begin = time.monotonic()
            assert len(json.loads(post(f"http://127.0.0.1:{serve}/invocations", many))["predictions"]) == 1000
            print(f"a batch of 1,000 rows was answered in {1000 * (time.monotonic() - begin):.0f} ms")
    pd.testing.assert_frame_equal(pd.DataFrame(got["predictions"]), predictor.predict(rows))
    for port in (track, serve):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def post(url: str, split: dict[str, object]) -> bytes:
    body = json.dumps({"dataframe_split": split}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as page:
        return page.read()
