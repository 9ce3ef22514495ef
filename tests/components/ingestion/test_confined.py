"""What a specification names stays inside the folders: files, folders, patterns, databases, knowledge."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest
import sqlalchemy as sa
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from components.confinement import Folders
from components.errors import InputError, OutsideError
from components.ingestion import Source, Specification, check, confine, load_specification
from components.secrets import environment

COLUMNS = {
    "year": {"role": "time", "kind": "number"},
    "told": {"role": "weak_label", "kind": "flag"},
    "dose": {},
}
NAMES = list(COLUMNS)
TABLE = "year,told,dose\n1,1,0.5\n2,0,0.7\n3,1,0.1\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a table and a database, beside a folder that is nobody's business."""
    (tmp_path / "outside").mkdir()
    data = tmp_path / "data"
    (data / "more").mkdir(parents=True)
    for place in (data / "visits.csv", data / "more" / "visits.csv", tmp_path / "outside" / "visits.csv"):
        place.write_text(TABLE)
    for place in (data / "visits.db", tmp_path / "outside" / "visits.db"):
        with closing(sqlite3.connect(place)) as database, database:
            database.execute("create table visits (year, told, dose)")
            database.execute("insert into visits values (1, 1, 0.5), (2, 0, 0.7), (3, 1, 0.1)")
    (tmp_path / "outside" / "knowledge.yaml").write_text("{}")
    return data


def said(data: Path, source: dict[str, Any], **more: Any) -> Specification:
    path = data / "toy.yaml"
    path.write_text(yaml.safe_dump({"name": "toy", "source": source, "columns": COLUMNS, **more}))
    return load_specification(path)


def confined(data: Path, source: dict[str, Any], **more: Any) -> list[str]:
    """Names of the columns that are read, once nothing was refused."""
    specification = said(data, source, **more)
    confine(specification, Folders((data,)))
    check(specification)
    return specification.source.names()


@pytest.mark.parametrize("path", ["visits.csv", "./more/../visits.csv", "*.csv", "**/*.csv", "more", "more/*.csv"])
def test_files_below_the_folder_are_read(data: Path, path: str) -> None:
    assert confined(data, {"kind": "csv", "path": path}) == NAMES


@pytest.mark.parametrize(
    "path",
    ["../outside/visits.csv", "../outside", "../outside/*.csv", "../**/*.csv", "more/../../outside/visits.csv"],
)
def test_two_dots_do_not_lead_out(data: Path, path: str) -> None:
    with pytest.raises(InputError, match=r"source\.path must lie in .*KINTSUGI_DATA_FOLDERS"):
        confined(data, {"kind": "csv", "path": path})


def test_an_absolute_path_does_not_lead_out(data: Path) -> None:
    with pytest.raises(InputError, match=r"source\.path must lie in"):
        confined(data, {"kind": "csv", "path": str(data.parent / "outside" / "visits.csv")})


def test_a_missing_file_outside_is_refused_like_one_that_is_there(data: Path) -> None:
    sentences = []
    for name in ("visits.csv", "gone.csv"):
        with pytest.raises(InputError) as refusal:
            confined(data, {"kind": "csv", "path": f"../outside/{name}"})
        sentences.append(str(refusal.value).replace(name, ""))
    assert sentences[0] == sentences[1]


@pytest.mark.parametrize("path", ["link.csv", "*.csv", ".", "linked/visits.csv", "linked", "linked/*.csv", "*/*.csv"])
def test_a_link_does_not_lead_out(data: Path, path: str) -> None:
    (data / "link.csv").symlink_to(data.parent / "outside" / "visits.csv")
    (data / "linked").symlink_to(data.parent / "outside")
    with pytest.raises(InputError, match=r"source\.path must lie in .*outside"):
        confined(data, {"kind": "csv", "path": path})


def test_a_link_that_leads_nowhere_is_a_sentence(data: Path) -> None:
    (data / "more" / "link.csv").symlink_to(data / "nowhere.csv")
    with pytest.raises(InputError, match=r"source\.path must be a path that can be looked at"):
        confined(data, {"kind": "csv", "path": "more"})


@pytest.mark.parametrize("path", ["a" * 300 + ".csv", "a\0b.csv", "~nobody-of-that-name/x.csv"])
def test_what_cannot_be_a_path_is_a_sentence_with_and_without_folders(data: Path, path: str) -> None:
    with pytest.raises(InputError, match=r"source\.path must"):
        check(said(data, {"kind": "csv", "path": path}))
    with pytest.raises(InputError, match=r"source\.path must"):
        confined(data, {"kind": "csv", "path": path})


def test_a_knowledge_file_does_not_lead_out(data: Path) -> None:
    with pytest.raises(InputError, match=r"knowledge must lie in"):
        confined(data, {"kind": "csv", "path": "visits.csv"}, knowledge="../outside/knowledge.yaml")


def test_what_a_person_typed_may_lie_anywhere(data: Path) -> None:
    specification = said(data, {"kind": "csv", "path": "../outside/visits.csv"}, knowledge="../outside/knowledge.yaml")
    confine(specification, Folders((data,)), ("source.path", "knowledge"))
    assert specification.source.names() == NAMES
    assert specification.knowledge is not None
    assert specification.knowledge.resolve() == data.parent / "outside" / "knowledge.yaml"


# Databases.


@pytest.mark.parametrize("url", ["sqlite:///visits.db", "sqlite:///more/../visits.db", "sqlite+pysqlite:///visits.db"])
def test_a_database_below_the_folder_is_read(data: Path, url: str) -> None:
    assert confined(data, {"kind": "sql", "url": url, "table": "visits"}) == NAMES


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///../outside/visits.db",
        "sqlite:///{outside}/visits.db",
        "sqlite+pysqlite:///{outside}/visits.db",
        "sqlite:///{outside}/visits.db?uri=true",
        "sqlite:///file:visits.db?uri=true&mode=ro",
        "sqlite:///${{TOY}}",
        "sqlite:///link.db",
        "duckdb:///{outside}/visits.db",
        "postgresql://host/db?sslkey={outside}/visits.db",
        "mysql://host/db?read_default_file=../outside/visits.db",
    ],
)
def test_a_database_outside_is_refused(data: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = data.parent / "outside"
    (data / "link.db").symlink_to(outside / "visits.db")
    monkeypatch.setenv("TOY", str(outside / "visits.db"))
    with pytest.raises(InputError, match=r"source\.url must (lie in|name a SQLite file as a plain path)"):
        confined(data, {"kind": "sql", "url": url.format(outside=outside), "table": "visits"})


def test_a_database_that_a_variable_names_is_read_where_it_lies(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY", str(data / "visits.db"))
    assert confined(data, {"kind": "sql", "url": "sqlite:///${TOY}", "table": "visits"}) == NAMES


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(["..", ".", "", "more", "visits.db", "link.db", "%2e%2e", "outside", "file:", "~", ":memory:"]),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["sqlite:///", "sqlite:////", "sqlite+pysqlite:///", "sqlite:///file:", "sqlite:///file:///"]),
    st.sampled_from(["", "?uri=true", "?mode=ro", "?uri=true&mode=rwc&nolock=1", "?timeout=1"]),
)
def test_no_spelling_of_a_database_opens_a_file_outside(data: Path, steps: list[str], start: str, end: str) -> None:
    link = data / "link.db"
    if not link.is_symlink():
        link.symlink_to(data.parent / "outside" / "visits.db")
    specification = said(data, {"kind": "sql", "url": start + "/".join(steps) + end, "table": "visits"})
    before = sorted(data.parent.rglob("*"))
    try:
        confine(specification, Folders((data,)))
        for opened in opened_by(specification):
            assert opened.is_relative_to(data.resolve()), opened
    except (InputError, OutsideError):
        pass
    assert sorted(data.parent.rglob("*")) == before


def opened_by(specification: Specification) -> Iterator[Path]:
    """What SQLite itself says that it has opened."""
    with specification.source._connected() as connection:  # type: ignore[union-attr]
        for row in connection.execute(sa.text("pragma database_list")):
            if row.file:
                yield Path(row.file).resolve()


@pytest.mark.parametrize(
    "query",
    [
        "attach database '{file}' as x",
        "vacuum into '{file}'",
        "drop table visits",
        "delete from visits",
        "insert into visits values (9, 9, 9)",
        "pragma query_only = off",
    ],
)
def test_a_query_changes_nothing_and_writes_nowhere(data: Path, query: str) -> None:
    made = data / "made.db"
    before = (data / "visits.db").read_bytes()
    with pytest.raises(InputError, match=r"source\.query"):
        confined(data, {"kind": "sql", "url": "sqlite:///visits.db", "query": query.format(file=made)})
    assert not made.exists()
    assert (data / "visits.db").read_bytes() == before


def test_every_kind_of_source_is_known_here() -> None:
    """A new kind, or a new field that can hold a path, is to be confined before it is added to this table."""
    harmless = {"kind", "separator", "line_breaks_in_cells", "block_bytes", "query", "table"}
    harmless |= {"base_url", "cycles", "connections", "refresh"}
    for kind in get_args(Source):
        assert issubclass(kind, BaseModel)
        assert set(kind.model_fields) <= harmless | {"path", "url", "folder"}, kind


def test_a_folder_for_downloads_does_not_lead_out(data: Path) -> None:
    source = {"kind": "nhanes-cdc", "folder": "../outside"}
    with pytest.raises(InputError, match=r"source\.folder must lie in"):
        confine(said(data, source), Folders((data,)))
    confine(said(data, source | {"folder": "downloads"}), Folders((data,)))


# Secrets in the URL.


def test_a_secret_is_asked_for_each_time_it_is_used_and_never_kept(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_PASSWORD", "pa:ss/w@rd?#1")
    specification = said(data, {"kind": "sql", "url": "vault://reader:${TOY_PASSWORD}@host/db", "table": "visits"})
    url, shown = specification.source._resolved()  # type: ignore[union-attr]
    assert (url.username, url.password, url.host, url.database) == ("reader", "pa:ss/w@rd?#1", "host", "db")
    assert "pa:ss" not in shown
    assert "TOY_PASSWORD" not in repr(specification)
    assert "pa:ss" not in specification.model_dump_json()
    monkeypatch.setenv("TOY_PASSWORD", "changed-since")
    assert specification.source._resolved()[0].password == "changed-since"  # type: ignore[union-attr]


def test_whoever_is_asked_for_secrets_travels_with_the_specification(data: Path) -> None:
    import pickle

    specification = said(data, {"kind": "sql", "url": "vault://reader:${TOY}@host/db", "table": "visits"})
    asked = pickle.loads(pickle.dumps(specification.with_secrets(reversed_name)))
    assert asked.source._resolved()[0].password == "YOT"
    with pytest.raises(InputError, match=r"source\.url names the environment variable TOY, which is not set"):
        specification.with_secrets(environment).source._resolved()  # type: ignore[union-attr]


def reversed_name(name: str) -> str:
    return name[::-1]
