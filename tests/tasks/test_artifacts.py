import base64
import io
import logging
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tasks import artifacts
from tasks.artifacts import key_of, publish_links, publish_markdown, publish_picture, publish_table

KINDS = ("image", "link", "markdown", "table")


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would have been sent to Prefect."""
    sent: list[dict[str, Any]] = []
    for kind in KINDS:
        monkeypatch.setattr(
            artifacts, f"create_{kind}_artifact", lambda kind=kind, **content: sent.append({"kind": kind} | content)
        )
    return sent


def test_keys_are_lower_case_with_dashes() -> None:
    assert key_of("Scores of 2017-2018 (held)") == "scores-of-2017-2018-held"
    assert key_of("Überblick__Ω") == "berblick"
    assert key_of("Ω") == "artifact"


def test_a_table_holds_plain_values_and_no_infinities(published: list[dict[str, Any]]) -> None:
    publish_table("The Scores", [{"a": np.float64(1.5), "b": float("nan"), "c": np.int64(3), "d": Path("x")}], "all")
    assert published == [
        {"kind": "table", "key": "the-scores", "description": "all", "table": [{"a": 1.5, "b": None, "c": 3, "d": "x"}]}
    ]


def test_one_link_is_a_link_and_several_are_a_list(published: list[dict[str, Any]]) -> None:
    publish_links("run", {"MLflow": "http://localhost/1", "nowhere": ""})
    publish_links("run", {"MLflow": "http://localhost/1", "report": "http://localhost/2"})
    publish_links("run", {"nowhere": ""})
    assert [each["kind"] for each in published] == ["link", "markdown"]
    assert (published[0]["link"], published[0]["link_text"]) == ("http://localhost/1", "MLflow")
    assert published[1]["markdown"] == "- [MLflow](http://localhost/1)\n- [report](http://localhost/2)"


@pytest.mark.parametrize(("side", "kept"), [(40, True), (400, False)])
def test_a_picture_is_scaled_down_only_when_it_is_too_big(
    published: list[dict[str, Any]], tmp_path: Path, side: int, kept: bool
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (side, 2 * side, 3), dtype=np.uint8)
    path = tmp_path / "noise.png"
    Image.fromarray(noise).save(path)
    before = path.read_bytes()
    publish_picture("noise", path)
    address = published[0]["image_url"]
    assert len(address) <= 100_000
    data = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    with Image.open(io.BytesIO(data)) as shown:
        assert shown.width == pytest.approx(2 * shown.height, abs=2)
    assert (data == before) is kept
    assert path.read_bytes() == before


def test_a_refusal_is_a_warning_and_not_an_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(**_: object) -> None:
        raise httpx.ConnectError("nobody there")

    monkeypatch.setattr(artifacts, "create_markdown_artifact", refuse)
    with caplog.at_level(logging.WARNING):
        publish_markdown("text", "hello")
    assert caplog.messages == ["the Prefect page does not show text: nobody there"]


def test_a_mistake_of_ours_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(**_: object) -> None:
        raise TypeError("wrong")

    monkeypatch.setattr(artifacts, "create_markdown_artifact", wrong)
    with pytest.raises(TypeError, match="wrong"):
        publish_markdown("text", "hello")
