"""The feature map: finite whatever comes in, invertible meaning, support that knows its own rows."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.contracts import Column
from components.errors import InputError
from components.features import CLIP, FeatureMap

COLUMNS = (
    Column("age", unit="years"),
    Column("alt", unit="U/L"),
    Column("drug", kind="flag"),
    Column("smoking", kind="category"),
)


def table(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": random.uniform(20, 80, rows),
            "alt": random.lognormal(3, 1.2, rows),
            "drug": random.integers(0, 2, rows).astype(float),
            "smoking": random.choice(["never", "former", "current"], rows, p=[0.6, 0.3, 0.1]),
        }
    )
    frame.loc[::20, "alt"] = np.nan
    return frame


def test_numbers_are_standardised_and_skewed_ones_logged() -> None:
    frame = table()
    fitted = FeatureMap.fit(frame, COLUMNS)
    features = pd.DataFrame(fitted.transform(frame), columns=fitted.names)
    oracle = np.log(frame["alt"].dropna())
    expected = (oracle - oracle.mean()) / oracle.std(ddof=0)
    np.testing.assert_allclose(features.loc[frame["alt"].notna(), "alt"], expected, atol=1e-12)
    np.testing.assert_array_equal(features["alt is missing"], frame["alt"].isna())
    np.testing.assert_array_equal(features["smoking = former"], frame["smoking"] == "former")
    assert "smoking = never" not in fitted.names


@given(
    age=st.floats(allow_nan=True, allow_infinity=False, width=32),
    alt=st.floats(allow_nan=True, allow_infinity=False, width=32),
    drug=st.sampled_from([0.0, 1.0, np.nan]),
    smoking=st.one_of(st.none(), st.text(max_size=5)),
)
def test_any_row_gives_finite_bounded_features(age: float, alt: float, drug: float, smoking: str | None) -> None:
    fitted = FeatureMap.fit(table(), COLUMNS)
    row = pd.DataFrame({"age": [age], "alt": [alt], "drug": [drug], "smoking": [smoking]})
    features = fitted.transform(row)
    assert features.shape == (1, len(fitted.names))
    assert np.isfinite(features).all()
    assert np.abs(features).max() <= CLIP + 1e-12


def test_a_map_survives_json() -> None:
    frame = table()
    fitted = FeatureMap.fit(frame, COLUMNS)
    again = FeatureMap.from_json(json.loads(json.dumps(fitted.to_json())))
    np.testing.assert_array_equal(again.transform(frame), fitted.transform(frame))
    np.testing.assert_array_equal(again.outside(frame), fitted.outside(frame))
    assert again.columns == fitted.columns


def test_support_holds_the_training_rows_and_not_strangers() -> None:
    frame = table(2000)
    fitted = FeatureMap.fit(frame, COLUMNS)
    assert fitted.outside(frame).mean() < 0.01
    assert fitted.outside(table(2000, seed=1)).mean() < 0.02
    strange = table(3)
    strange["age"], strange["alt"] = [400.0, 50.0, np.nan], [20.0, 20.0, np.nan]
    strange["drug"] = [0.0, 1.0, np.nan]
    strange.loc[1, "smoking"] = "pipe"
    np.testing.assert_array_equal(fitted.outside(strange), [True, True, True])


def test_the_order_of_columns_and_extra_columns_do_not_matter() -> None:
    frame = table()
    fitted = FeatureMap.fit(frame, COLUMNS)
    shuffled = frame[frame.columns[::-1]].assign(extra=1.0)
    np.testing.assert_array_equal(fitted.transform(shuffled), fitted.transform(frame))


def test_what_a_table_lacks_is_named() -> None:
    fitted = FeatureMap.fit(table(), COLUMNS)
    with pytest.raises(InputError, match="missing: alt, smoking"):
        fitted.transform(table().drop(columns=["alt", "smoking"]))
    with pytest.raises(InputError, match="column 'age' must hold numbers, got 'old'"):
        fitted.transform(table().assign(age="old"))
    with pytest.raises(InputError, match="column 'age' must have at least one value"):
        FeatureMap.fit(table().assign(age=np.nan), COLUMNS)


def test_values_are_read_as_ingestion_reads_them() -> None:
    columns = (Column("age", maximum=120), Column("drug", kind="flag"), Column("site", kind="category"))
    frame = pd.DataFrame({"age": [30.0, 50.0, 70.0] * 20, "drug": [0.0, 1.0, 1.0] * 20, "site": ["1", "2", "2"] * 20})
    fitted = FeatureMap.fit(frame, columns)
    raw = pd.DataFrame({"age": ["9999", "50"], "drug": ["true", None], "site": [2.0, np.nan]})
    stored = pd.DataFrame({"age": [np.nan, 50.0], "drug": [1.0, np.nan], "site": ["2", None]})
    np.testing.assert_array_equal(fitted.transform(raw), fitted.transform(stored))
    assert fitted.outside(raw)[0]
    assert not fitted.outside(raw.assign(age=["30", "50"], drug=[0.0, 1.0], site=["1", "2"])).any()
    with pytest.raises(InputError, match="column 'drug' must hold 0, 1, true or false, got 'maybe'"):
        fitted.transform(raw.assign(drug="maybe"))


def test_a_category_with_one_level_has_no_feature() -> None:
    frame = table().assign(smoking="never")
    fitted = FeatureMap.fit(frame, COLUMNS)
    assert not [name for name in fitted.names if name.startswith("smoking")]
    assert len(fitted.transform(frame)) == len(frame)
    assert list(fitted.typical().columns) == [column.name for column in COLUMNS]
    assert np.isfinite(fitted.transform(fitted.typical())).all()
