"""What may be reached, judged by the kernel: it opens the path, and says where it has come out."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.confinement import Folders, true_place
from components.errors import InputError

STEPS = (
    *("..", ".", "", "inner", "deep", "table.csv", "secret.csv", "allowed", "outside"),
    *("to_inner", "to_outside", "to_secret", "to_up", "to_nothing", "round", "%2e%2e", "..."),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that may be read beside one that may not, and links of every kind between them."""
    world = tmp_path_factory.mktemp("world").resolve()
    (world / "allowed" / "inner" / "deep").mkdir(parents=True)
    (world / "outside" / "inner").mkdir(parents=True)
    for folder in ("allowed", "allowed/inner", "allowed/inner/deep", "outside", "outside/inner"):
        (world / folder / ("secret.csv" if "outside" in folder else "table.csv")).write_text("a\n1\n")
    for place in (world / "allowed", world / "allowed" / "inner"):
        (place / "to_inner").symlink_to(world / "allowed" / "inner")
        (place / "to_outside").symlink_to("../" * len(place.relative_to(world).parts) + "outside")
        (place / "to_secret").symlink_to(world / "outside" / "secret.csv")
        (place / "to_up").symlink_to("..")
        (place / "to_nothing").symlink_to(world / "outside" / "nothing")
        (place / "round").symlink_to("round")
    (world / "outside" / "to_inner").symlink_to(world / "allowed" / "inner")
    return world


@pytest.fixture(scope="module", autouse=True)
def _within(world: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(world / "allowed")
    yield
    os.chdir(before)


def arrived(path: str) -> Path | None:
    """Where the kernel comes out when it opens ``path``; None when it comes nowhere."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return Path(f"/proc/self/fd/{handle}").readlink()
    finally:
        os.close(handle)


def refused(folders: Folders, path: str | Path) -> bool:
    try:
        folders.check("source.path", path)
    except InputError:
        return True
    return False


@settings(max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(STEPS), max_size=7), st.sampled_from(["", "/", "//", "WORLD/", "WORLD/allowed/", "./"]))
def test_what_is_let_through_is_inside_and_what_is_refused_is_not(world: Path, steps: list[str], start: str) -> None:
    path = start.replace("WORLD", str(world)) + "/".join(steps)
    place = arrived(path)
    if place is None:
        return  # nobody reads anything there
    inside = place == world / "allowed" or world / "allowed" in place.parents
    assert refused(Folders((world / "allowed",)), path) is not inside, (path, place)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=6))
def test_a_place_outside_is_refused_whether_it_exists_or_not(world: Path, steps: list[str]) -> None:
    folders = Folders((world / "allowed",))
    path = str(world / "outside" / "nowhere") + "/" + "/".join(steps)
    if ".." not in steps:
        assert refused(folders, path)


@pytest.mark.parametrize("path", ["a\0b", "~nobody-of-that-name/table.csv"])
def test_what_is_no_path_is_refused_in_a_sentence(world: Path, path: str) -> None:
    with pytest.raises(InputError, match=r"source\.path must be a path, got"):
        Folders((world / "allowed",)).check("source.path", path)


def test_a_tilde_is_the_home_it_stands_for(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(world / "outside"))
    assert refused(Folders((world / "allowed",)), "~/secret.csv")
    assert not refused(Folders((world / "outside",)), "~/secret.csv")


def test_the_sentence_names_field_rule_value_and_remedy(world: Path) -> None:
    with pytest.raises(InputError) as refusal:
        Folders((world / "allowed",)).check("source.path", "to_outside/secret.csv")
    sentence = str(refusal.value)
    assert sentence.startswith(f"source.path must lie in {world / 'allowed'}, got 'to_outside/secret.csv', which is ")
    assert str(world / "outside" / "secret.csv") in sentence
    assert "KINTSUGI_DATA_FOLDERS" in sentence


def test_a_folder_that_is_itself_reached_by_a_link_is_allowed(world: Path) -> None:
    assert not refused(Folders((world / "allowed" / "to_outside",)), world / "outside" / "secret.csv")
    assert not refused(Folders((world / "allowed" / "to_outside",)), "to_outside/secret.csv")
    assert refused(Folders(()), world / "allowed" / "table.csv")
    assert refused(Folders((world / "allow",)), world / "allowed" / "table.csv")  # a name's beginning is no folder


@pytest.mark.parametrize("pattern", ["../outside/*.csv", "*/../../outside/*.csv", "to_outside/*.csv", "/*/passwd"])
def test_a_pattern_that_can_match_outside_is_refused(world: Path, pattern: str) -> None:
    with pytest.raises(InputError, match=r"source\.path must"):
        Folders((world / "allowed",)).check_pattern("source.path", pattern)


@pytest.mark.parametrize("pattern", ["*.csv", "inner/**/*.csv", "to_inner/[a-z]*.csv", "table.csv", "./inner/../*.csv"])
def test_a_pattern_inside_is_let_through(world: Path, pattern: str) -> None:
    Folders((world / "allowed",)).check_pattern("source.path", pattern)


def test_the_true_place_of_nothing_is_where_it_would_be(world: Path) -> None:
    assert true_place("path", "to_inner/new/../made.csv") == world / "allowed" / "inner" / "made.csv"
