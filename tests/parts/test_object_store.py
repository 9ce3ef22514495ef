"""The chain with its files in an S3-compatible store, which only the tracking server has keys for."""

from pathlib import Path
from typing import Any

import pytest

from components.errors import OutsideError
from tasks.registry import folder_digest
from tasks.settings import Settings
from tasks.tracking import open_tracking

pytestmark = pytest.mark.server


def content(bucket: Any) -> dict[str, bytes]:
    return {entry.key: entry.get()["Body"].read() for entry in bucket.objects.all()}


def test_what_the_runs_kept_is_in_the_bucket(site: Any, objects: Any, tmp_path: Path) -> None:
    kept = content(objects)
    assert all(key.startswith("files/") for key in kept)
    reports = sorted(body for key, body in kept.items() if key.endswith("/report.html"))
    assert reports == sorted(path.read_bytes() for path in site.folder.glob("*/runs/*/report.html"))
    assert len(reports) == 2
    versions = site.client.search_model_versions("name = 'kintsugi-shop'")
    assert len(versions) == 2
    for version in versions:
        place = f"files/{version.source.removeprefix('mlflow-artifacts:/')}/artifacts/predictor/"
        for key in [key for key in kept if key.startswith(place)]:
            path = tmp_path / version.version / key.removeprefix(place)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(kept[key])
        assert folder_digest(tmp_path / version.version) == version.tags["digest"]


def test_no_file_stayed_with_the_tracking_server(site: Any) -> None:
    assert list(site.folder.rglob("mlartifacts")) == []
    assert list(site.folder.glob("*/artifacts")) == []


def test_a_bucket_that_is_gone_is_told_in_one_sentence(site: Any, objects: Any, tmp_path: Path) -> None:
    kept = content(objects)
    objects.objects.all().delete()
    objects.delete()
    try:
        tracking = open_tracking(Settings(home=tmp_path, tracking_uri=site.mlflow.url), "after")
        (tmp_path / "table.csv").write_text("a\n1\n")
        with tracking.tracked_run("upload") as run, pytest.raises(OutsideError, match=site.mlflow.url) as told:
            run.artifact(tmp_path / "table.csv")
        assert "\n" not in str(told.value)
    finally:
        objects.create(CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        for key, body in kept.items():
            objects.put_object(Key=key, Body=body)
