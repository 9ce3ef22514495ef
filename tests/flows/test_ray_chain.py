"""The whole chain on Ray: on one that the run starts, and on a cluster of two nodes. The model is always the same."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from tasks.processes import free_port
from tasks.registry import champion
from tasks.settings import Settings
from tasks.tracking import open_tracking

CLIENT_PORT = 20_000  # and above: Ray gives its workers ports below
COMMAND = "from flows.cli import main; main()"
NODES = """
import ray
ray.init(address="auto", log_to_driver=False)
nodes = [node for node in ray.nodes() if node["Alive"]]
assert len(nodes) == 2, nodes
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


def ray_command(*words: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("ray"), *words],
        env=os.environ | environment,
        timeout=120,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": os.urandom(32).hex(), "RAY_USAGE_STATS_ENABLED": "0"}
    environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "1"  # a test before this one may have started a lonely Ray
    port, client = free_port(), next(port for port in iter(free_port, 0) if port > CLIENT_PORT)
    small = ("--node-ip-address=127.0.0.1", "--num-cpus=1", "--object-store-memory=100000000")
    with TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:  # paths of sockets may have about 107 characters
        head = (f"--port={port}", f"--ray-client-server-port={client}", f"--temp-dir={folder}")
        try:
            ray_command("start", "--head", *head, "--include-dashboard=false", *small, environment=environment)
            ray_command("start", f"--address=127.0.0.1:{port}", *small, environment=environment)
            yield Cluster(f"127.0.0.1:{port}", f"ray://127.0.0.1:{client}", environment)
        finally:
            ray_command("stop", "--force", environment=environment)


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
    head = {"RAY_ADDRESS": cluster.address}
    subprocess.run([sys.executable, "-c", NODES], env=os.environ | cluster.environment | head, timeout=60, check=True)
