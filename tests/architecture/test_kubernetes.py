"""The objects of Kubernetes: valid by Kubernetes' and KubeRay's schemas, and true to what they start and refer to.

No cluster runs here: see test_manifests.py for what is checked instead, and how the checks are proven.
"""

import functools
import importlib.metadata
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
COMPOSE = (DEPLOY / "compose.yaml").read_text()
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
NEWEST = "1.37"
SECRET_KEYS = {"postgres-password", "ray-auth-token", "s3-access-key-id", "s3-secret-access-key"}


def documents() -> list[dict[str, Any]]:
    """Every object, file by file, in the order of the kustomization."""
    names = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    return [each for name in names for each in yaml.safe_load_all((KUBERNETES / name).read_text())]


def strict(schema: Any) -> Any:
    """A schema of a custom resource that allows no unknown field, as ``kubectl apply`` does."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if "properties" in made and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


def ray_schema() -> Any:
    definition = yaml.safe_load((Path(__file__).parent / "schemas" / "ray.io_rayclusters.yaml").read_text())
    schema = strict(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def templates(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The pods that an object makes."""
    spec = document.get("spec", {})
    if document["kind"] == "RayCluster":
        return [spec["headGroupSpec"]["template"], *(group["template"] for group in spec["workerGroupSpecs"])]
    return [spec["template"]] if document["kind"] in ("Deployment", "StatefulSet", "Job") else []


@functools.cache
def known_faults(document: str) -> tuple[str, ...]:
    """Each object is checked once, however many tests change another one."""
    return tuple(schema_faults(json.loads(document)))


def schema_faults(document: dict[str, Any]) -> Iterator[str]:
    if document["kind"] == "RayCluster":
        for error in jsonschema.Draft202012Validator(ray_schema()).iter_errors(document):
            yield f"{'/'.join(map(str, error.path))}: {error.message}"
        for template in templates(document):
            yield from schema_faults({"apiVersion": "v1", "kind": "PodTemplate", "template": template})
        return
    try:
        kubernetes_validate.validate(document, NEWEST, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{'/'.join(map(str, error.path))}: {error.message}"


def kubernetes_faults(objects: list[dict[str, Any]], manifests: Any) -> list[str]:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    maps = {each["name"]: each for each in kustomization["configMapGenerator"]}
    known = {
        "configMap": set(maps),
        "claim": {each["metadata"]["name"] for each in objects if each["kind"] == "PersistentVolumeClaim"},
        "image": {each["name"] for each in kustomization["images"]},
    }
    found = [fault for each in objects for fault in known_faults(json.dumps(each))]
    pods = [(each, pod) for each in objects for pod in templates(each)]
    for document, pod in pods:
        for fault in pod_faults(pod, known, manifests, document["kind"] == "RayCluster"):
            found.append(f"{document['metadata']['name']}: {fault}")
        labels = document["spec"].get("selector", {}).get("matchLabels", {})
        if not labels.items() <= pod["metadata"]["labels"].items():
            found.append(f"{document['metadata']['name']} does not select its own pods")
    for service in [each for each in objects if each["kind"] == "Service"]:
        chosen = [pod for _, pod in pods if service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()]
        ports = {port["name"] for pod in chosen for each in pod["spec"]["containers"] for port in each.get("ports", [])}
        missing = {port["targetPort"] for port in service["spec"]["ports"]} - ports
        found += [f"service {service['metadata']['name']} leads to no port {port}" for port in missing]
    literals = dict(each.split("=", 1) for each in maps["run"]["literals"])
    found += manifests.unknown_variables(literals)
    hosts = {each["metadata"]["name"] for each in objects if each["kind"] == "Service"}
    hosts |= {f"{each['metadata']['name']}-head-svc" for each in objects if each["kind"] == "RayCluster"}
    named = {host for value in literals.values() for host in re.findall(r"://([a-z-]+)", value)}
    return found + [f"{host} is no service" for host in named - hosts]


def pod_faults(pod: dict[str, Any], known: dict[str, set[str]], manifests: Any, ray: bool) -> Iterator[str]:
    spec = pod["spec"]
    if not spec["securityContext"].get("runAsNonRoot") or not spec["securityContext"].get("runAsUser"):
        yield "may run as root"
    if spec.get("automountServiceAccountToken") is not False:
        yield "gets a token of the cluster that it does not need"
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    for volume in volumes.values():
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim and claim not in known["claim"]:
            yield f"claim {claim} is not there"
        if "configMap" in volume and volume["configMap"]["name"] not in known["configMap"]:
            yield f"config map {volume['configMap']['name']} is not there"
    for container in spec["containers"]:
        if container["image"] not in known["image"]:
            yield from manifests.unpinned(container["image"])
        if container["image"] in known["image"] and not ray:
            yield from manifests.unknown_command(container["command"])
        if container["securityContext"].get("allowPrivilegeEscalation") is not False:
            yield "may gain privileges"
        if "limits" not in container["resources"] or "requests" not in container["resources"]:
            yield "asks for no resources or is not held to them"
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes and mount["name"] != "data":  # the claim of the stateful set
                yield f"volume {mount['name']} is not there"
        for source in container.get("envFrom", []):
            if source["configMapRef"]["name"] not in known["configMap"]:
                yield f"config map {source['configMapRef']['name']} is not there"
        variables = [(each["name"], each) for each in container.get("env", [])]
        yield from manifests.unknown_variables(dict(variables))
        for name, each in variables:
            reference = each.get("valueFrom", {}).get("secretKeyRef", {})
            if reference and (reference["name"] != "kintsugi" or reference["key"] not in SECRET_KEYS):
                yield f"{name} comes from a secret that nobody makes"
            if "value" in each and re.search("PASSWORD|TOKEN$|SECRET", name):
                yield f"{name} is a secret in the open"


def test_nothing_is_wrong_with_the_objects_of_kubernetes(manifests: Any) -> None:
    objects = documents()
    assert {each["kind"] for each in objects} >= {"Deployment", "StatefulSet", "Job", "RayCluster", "NetworkPolicy"}
    assert kubernetes_faults(objects, manifests) == []


def test_every_file_is_part_of_the_kustomization() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    named = {*kustomization["resources"], *kustomization["configMapGenerator"][0]["files"], "kustomization.yaml"}
    assert named == {path.name for path in KUBERNETES.iterdir()}
    # kustomize renames neither config maps nor claims inside a custom resource.
    assert kustomization["generatorOptions"]["disableNameSuffixHash"] is True


def find(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(each["spec"] for each in objects if each["kind"] == kind and each["metadata"]["name"] == name)


KUBERNETES_FAULTS: dict[str, tuple[str, str, str, str]] = {
    "an unknown field": ("mlflow.yaml", "replicas: 1", "replica: 1", "replica"),
    "a wrong type": ("mlflow.yaml", "containerPort: 5000", "containerPort: http", "integer"),
    "an unknown field of a Ray cluster": ("ray-cluster.yaml", "rayVersion:", "rayversion:", "rayversion"),
    "a number for a text of a Ray cluster": ("ray-cluster.yaml", 'num-cpus: "0"', "num-cpus: 0", "string"),
    "an unknown field of a Ray pod": ("ray-cluster.yaml", "volumeMounts:", "volumeMount:", "volumeMount"),
    "root": ("worker.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "may run as root"),
    "a misspelt claim": ("worker.yaml", "claimName: home", "claimName: hom", "claim hom "),
    "a misspelt config map": (
        "ray-cluster.yaml",
        "configMapRef: {name: run}",
        "configMapRef: {name: runs}",
        "map runs",
    ),
    "a misspelt secret": ("prefect.yaml", "key: postgres-password", "key: postgres-pasword", "that nobody makes"),
    "a misspelt label": ("mlflow.yaml", "labels: {app.kubernetes.io/name: mlflow}", "labels: {a: b}", "select its own"),
    "a misspelt option": ("worker.yaml", "--with-healthcheck", "--with-health", "--with-health"),
    "a misspelt variable": ("mlflow.yaml", "MLFLOW_SERVER_ALLOWED", "MLFLOW_SERVERALLOWED", "read by nobody"),
    "a secret in the open": (
        "ray-cluster.yaml",
        "RAY_AUTH_MODE, value: token",
        "RAY_AUTH_TOKEN, value: x",
        "in the open",
    ),
}


@pytest.mark.parametrize("planted", KUBERNETES_FAULTS)
def test_a_fault_in_an_object_of_kubernetes_is_found(planted: str, manifests: Any) -> None:
    file, before, after, said = KUBERNETES_FAULTS[planted]
    text = (KUBERNETES / file).read_text()
    assert before in text
    changed = list(yaml.safe_load_all(text.replace(before, after)))
    names = {(each["kind"], each["metadata"]["name"]) for each in changed}
    others = [each for each in documents() if (each["kind"], each["metadata"]["name"]) not in names]
    found = kubernetes_faults(others + changed, manifests)
    assert any(said in each for each in found), found


def test_kustomize_builds_what_refers_to_itself() -> None:
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run([program, "kustomize", str(KUBERNETES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    objects = list(yaml.safe_load_all(done.stdout))
    assert {each["metadata"]["namespace"] for each in objects} == {"kintsugi"}
    assert {each["metadata"]["name"] for each in objects if each["kind"] == "ConfigMap"} == {"databases", "run"}
    images = {
        each["image"] for document in objects for pod in templates(document) for each in pod["spec"]["containers"]
    }
    assert images == {f"kintsugi:{VERSION}", "postgres:15-bookworm"}
    assert not [each for each in objects if each["kind"] == "Secret"]


def test_all_manifests_mean_the_same_versions_pool_and_databases() -> None:
    pool = {each["work_pool"]["name"] for each in yaml.safe_load((DEPLOY / "prefect.yaml").read_text())["deployments"]}
    worker = yaml.safe_load(COMPOSE)["services"]["worker"]["command"]
    objects = documents()
    assert worker == find(objects, "Deployment", "worker")["template"]["spec"]["containers"][0]["command"]
    assert pool == {worker[worker.index("--pool") + 1]}
    assert f"image: kintsugi:${{KINTSUGI_VERSION:-{VERSION}}}" in COMPOSE
    assert yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["images"][0]["newTag"] == VERSION
    assert find(objects, "RayCluster", "kintsugi")["rayVersion"] == importlib.metadata.version("ray")
    databases = re.findall(r"CREATE DATABASE (\w+);", (KUBERNETES / "databases.sql").read_text())
    for text in (COMPOSE, *((KUBERNETES / f"{name}.yaml").read_text() for name in ("prefect", "mlflow"))):
        named = re.findall(r"postgresql\+\w+://kintsugi@postgres/(\w+)", text)
        assert named
        assert set(named) <= set(databases)
