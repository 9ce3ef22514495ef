"""The whole chain on Ray: on one that the run starts, and on a cluster of two nodes. The model is always the same."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from tasks.processes import family, free_port, kill_all
from tasks.registry import champion
from tasks.settings import Settings
from tasks.tracking import open_tracking

CLIENT_PORT = 20_000  # and above: Ray gives its workers ports below
COMMAND = "from flows.cli import main; main()"
NODES = """
import time
import ray
for _ in range(60):
    try:
        ray.init(address="auto", log_to_driver=False, ignore_reinit_error=True)
        if sum(node["Alive"] for node in ray.nodes()) == 2:
            break
    except ConnectionError:
        pass
    time.sleep(0.5)
else:
    raise SystemExit("there are not two nodes")
"""


@dataclass(frozen=True)
class Cluster:
    """Two nodes on this machine, each with a processor.

    Attributes:
        address: Of the head, for drivers on this machine.
        client: Of the head, for drivers elsewhere.
        environment: What a driver needs to be let in.
    """

    address: str
    client: str
    environment: dict[str, str]


@contextmanager
def node(*words: str, environment: dict[str, str]) -> Iterator[None]:
    """A node of a cluster; ``ray stop`` would stop every Ray of this machine."""
    command = [Path(sys.executable).with_name("ray"), "start", "--block", *words]
    process = subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        members = family(process.pid)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        kill_all(members)
        process.wait(20)


def two_nodes_at(address: str, environment: dict[str, str]) -> None:
    """Wait for them, or find that they are still there."""
    chosen = os.environ | environment | {"RAY_ADDRESS": address}
    subprocess.run([sys.executable, "-c", NODES], env=chosen, timeout=120, check=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": os.urandom(32).hex(), "RAY_USAGE_STATS_ENABLED": "0"}
    environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "1"  # a test before this one may have started a lonely Ray
    port, client = free_port(), next(port for port in iter(free_port, 0) if port > CLIENT_PORT)
    small = ("--node-ip-address=127.0.0.1", "--num-cpus=1", "--object-store-memory=100000000")
    with TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:  # paths of sockets may have about 107 characters
        head = (f"--port={port}", f"--ray-client-server-port={client}", f"--temp-dir={folder}")
        address = f"127.0.0.1:{port}"
        with (
            node("--head", *head, "--include-dashboard=false", *small, environment=environment),
            node(f"--address={address}", *small, environment=environment),
        ):
            two_nodes_at(address, environment)
            yield Cluster(address, f"ray://127.0.0.1:{client}", environment)


@pytest.fixture(scope="module")
def digest_of(toy: Any, tmp_path_factory: pytest.TempPathFactory, prefect_url: str) -> Any:
    """Runs the chain under some settings; gives the digest of the model that it registers."""
    folder = tmp_path_factory.mktemp("ray")
    specification = toy.write(folder / "table", toy.visits())
    config = folder / "small.yaml"
    given = {"source": {"specification": str(specification)}, "gates": str(specification.with_name("gates.yaml"))}
    config.write_text(yaml.safe_dump(toy.small | given), encoding="utf-8")

    def run(name: str, **variables: str) -> str:
        home = folder / name
        quiet = {"KINTSUGI_LLM": "none", "KINTSUGI_PREFECT_API_URL": prefect_url}
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, "run", "--config", str(config), "--home", str(home)],
            env=os.environ | quiet | variables,
            timeout=300,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found = champion(open_tracking(Settings(home=home), "kintsugi-toy"), "kintsugi-toy")
        assert found is not None
        return found.digest

    return run


@pytest.fixture(scope="module")
def expected(digest_of: Any) -> str:
    digest: str = digest_of("here", KINTSUGI_RUNNER="inline", KINTSUGI_MAP="inline")
    return digest


def test_stages_in_threads_share_a_ray_that_the_run_starts(digest_of: Any, expected: str) -> None:
    # The number of threads of the arithmetic is another one than in the run that it is compared with.
    assert digest_of("local", KINTSUGI_MAP="ray", OMP_NUM_THREADS="2") == expected


@pytest.mark.parametrize("way", ["address", "client"])
def test_stages_and_their_replicates_run_on_a_cluster_of_two_nodes(
    digest_of: Any, expected: str, cluster: Cluster, way: str
) -> None:
    address = getattr(cluster, way)
    chosen = {"KINTSUGI_RUNNER": "ray", "KINTSUGI_MAP": "ray", "KINTSUGI_RAY_ADDRESS": address}
    assert digest_of(way, **chosen, **cluster.environment) == expected
    # Both nodes are still there, and no run has stopped a cluster that is not its own.
    two_nodes_at(cluster.address, cluster.environment)
