"""How single columns are read: by kind, from whatever type the source gave them."""

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingestion import nhanes
from components.values import flags, numbers, positives, texts, times

text_numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from([" 1.5 ", "1e3", "-0.0", "+2", ".5"]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(text_numbers, st.none()), max_size=20), st.booleans())
def test_text_is_read_as_python_reads_numbers(written: list[str | None], spoil: bool) -> None:
    column = pd.Series([*written, "high"] if spoil else written, dtype="str")
    found, wrong = numbers(column)
    oracle = [np.nan if text is None else float(text) for text in written]
    np.testing.assert_array_equal(found[: len(written)], oracle)
    assert wrong.tolist() == [False] * len(written) + [True] * spoil


@pytest.mark.parametrize("text", ["1_000", "1,5", "12 mmHg", "0x10", "-", "1.2.3"])
def test_what_is_no_number_is_marked(text: str) -> None:
    found, wrong = numbers(pd.Series(["1", text, None], dtype="str"))
    assert found[0] == 1
    assert wrong.tolist() == [False, True, False]


def test_numbers_of_any_type_are_float64() -> None:
    for values in ([1, 2, None], [Decimal("1"), Decimal("2"), None], ["1", "2.0", ""]):
        found, wrong = numbers(pd.Series(values, dtype=object))
        np.testing.assert_array_equal(found, [1.0, 2.0, np.nan])
        assert found.dtype == np.float64
        assert not wrong.any()
    assert np.signbit(numbers(pd.Series([-0.0]))[0][0]) == np.False_


def test_flags_are_zero_one_true_and_false_only() -> None:
    found, wrong = flags(pd.Series(["1", "0", "True", "FALSE", "1.0", None, "yes", "2"], dtype="str"))
    np.testing.assert_array_equal(found, [1, 0, 1, 0, 1, np.nan, np.nan, np.nan])
    assert wrong.tolist() == [False] * 6 + [True] * 2
    np.testing.assert_array_equal(flags(pd.Series([True, False]))[0], [1, 0])


def test_categories_lose_blanks_and_the_point_zero_of_codes() -> None:
    written = texts(pd.Series([" a ", "2.0", "2", "", "007", "1.10", None], dtype="str"))
    assert written.where(written.notna(), None).astype(object).replace({np.nan: None}).tolist() == [
        "a",
        "2",
        "2",
        None,
        "007",
        "1.10",
        None,
    ]
    assert texts(pd.Series([2.0, 2.5])).tolist() == ["2", "2.5"]


def test_times_of_any_type_are_microseconds_of_utc() -> None:
    moment = pd.Timestamp("2020-01-01 11:00")
    sources: list[Any] = [
        pd.Series(["2020-01-01T12:00:00+01:00"], dtype="str"),
        pd.Series([pd.Timestamp("2020-01-01 12:00", tz="Europe/Berlin")]),
        pd.Series([moment]).astype("datetime64[ns]"),
    ]
    for values in sources:
        found, wrong = times(values)
        assert found.tolist() == [moment]
        assert found.dtype == "datetime64[us]"
        assert not wrong.any()
    assert times(pd.Series([datetime.date(2020, 1, 1)], dtype=object))[0].tolist() == [pd.Timestamp("2020-01-01")]


@pytest.mark.parametrize("value", ["2020", "20200101", 2020, 1.5e9, "yesterday", "2020-13-01", "2017-2018"])
def test_what_is_no_time_is_marked(value: object) -> None:
    assert times(pd.Series([value]))[1].tolist() == [True]


def test_positive_values_are_those_declared() -> None:
    column = pd.Series(["1", "0", "Borderline", None], dtype="str")
    np.testing.assert_array_equal(positives(column, ("1",))[0], [1, 0, 0, np.nan])
    np.testing.assert_array_equal(positives(column, ("1.0", "borderline"))[0], [1, 0, 1, np.nan])
    np.testing.assert_array_equal(positives(pd.Series([1.0, 2.0]), ("2",))[0], [0, 1])
    assert positives(column, ())[1].tolist() == [False, False, True, False]


def raw_survey(**changes: object) -> pd.DataFrame:
    plain = dict.fromkeys(nhanes._PLAIN.values(), 50.0)
    readings = {f"{p}BloodPres{o}RdgMmHg": 100.0 for p in ("Systolic", "Diastolic") for o in ("1St", "2Nd", "3Rd")}
    rest = {
        "Gender": "Male",
        "RacehispanicOrigin": "Other Hispanic",
        "EducationLevelAdults20": "Don't Know",
        "DoctorToldYouHaveDiabetes": "0",
        "SmokedAtLeast100CigarettesInLife": 1.0,
        "DoYouNowSmokeCigarettes": "Not at all",
        "ModerateRecreationalActivities": 0.0,
        "VigorousRecreationalActivities": 1.0,
        "MinutesSedentaryActivity": 120.0,
        "EverToldYouHadHeartAttack": 0.0,
        "EverToldYouHadAStroke": 0.0,
    }
    return pd.DataFrame([{**plain, **readings, **rest, **changes}])


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"RatioOfFamilyIncomeToPoverty": 5.4e-79}, "income_poverty_ratio", 0.0),
        ({"RatioOfFamilyIncomeToPoverty": 5.4e-79}, "income_band", "income below 1x poverty"),
        ({"RatioOfFamilyIncomeToPoverty": 4.0}, "income_band", "income above 4x poverty"),
        ({"RatioOfFamilyIncomeToPoverty": np.nan}, "income_band", "income unknown"),
        ({"MinutesSedentaryActivity": 9999.0}, "sedentary_hours", None),
        ({}, "sedentary_hours", 2.0),
        ({"DiastolicBloodPres2NdRdgMmHg": 5.4e-79, "DiastolicBloodPres3RdRdgMmHg": 60.0}, "dbp", 80.0),
        ({"DoctorToldYouHaveDiabetes": "Borderline", "Glycohemoglobin": 6.0}, "dx_diabetes", 0.0),
        ({"Glycohemoglobin": 6.5}, "any_diabetes", 1.0),
        ({"Glycohemoglobin": 6.4}, "any_diabetes", 0.0),
        ({"Glycohemoglobin": np.nan}, "any_diabetes", None),
        ({"DoctorToldYouHaveDiabetes": "1", "Glycohemoglobin": np.nan}, "any_diabetes", 1.0),
        ({"DoctorToldYouHaveDiabetes": None, "Glycohemoglobin": 5.0}, "any_diabetes", None),
        ({"EverToldYouHadAStroke": 1.0, "EverToldYouHadHeartAttack": np.nan}, "cvd_history", 1.0),
        ({}, "education", None),
        ({}, "smoking", "former"),
        ({}, "active", 1.0),
        ({"SEQN": 99999.0}, "seqn", 99999.0),
    ],
)
def test_codes_of_the_survey_are_undone(changes: dict[str, object], name: str, value: object) -> None:
    found = nhanes.tidy(raw_survey(**changes))[name].iloc[0]
    assert pd.isna(found) if value is None else found == value
