"""From what the CDC recorded of a cycle's people to the columns of the table: codes undone, labels defined.

Codes for refused and unknown (7, 9, 77, 99, ...) become missing, because only what a code list names is kept. Who is
not asked a question because of the answer before it has not answered it with "unknown": drugs and insulin are 0 there.
"""

from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from components.ingestion.cdc.tables import (
    ADULT,
    COLUMNS,
    EXAMINED,
    LEVELS,
    OLDEST,
    RACES,
    RECALIBRATED,
    SMOKING,
    TOLD_DIABETES,
    YES_NO,
    Cycle,
)
from components.ingestion.nhanes import either

_LOWEST_DIASTOLIC = 20.0
_AGES_AT_DIAGNOSIS = (1.0, 85.0)
_HBA1C_OF_DIABETES = 6.5
_GLUCOSE_OF_DIABETES = 126.0
_AS_RECORDED = (
    *("income_poverty_ratio", "psu", "stratum", "height_cm", "weight_kg", "bmi", "waist_cm", "hba1c"),
    *("fasting_glucose", "serum_glucose", "total_chol", "hdl", "ldl", "fasting_trig"),
    *("uric_acid", "alt", "ggt", "albumin", "bun"),
)

Values: TypeAlias = "pd.Series[Any]"


def adults(people: pd.DataFrame) -> pd.DataFrame:
    """Those of at least 20 years who were interviewed and examined."""
    return people[(people["age"] >= ADULT) & (people["status"] == EXAMINED)]


def tidied(raw: pd.DataFrame, cycle: Cycle) -> pd.DataFrame:
    """The columns of the table, in their order, all numbers still float64.

    Arguments:
        raw: One row a person, with the names of ``tables.VARIABLES``; a subject that the cycle lacks is missing.
        cycle: The cycle they come from.
    """
    diagnosed = raw["told_diabetes"].map(TOLD_DIABETES)
    laboratory = _laboratory(raw["hba1c"], raw["fasting_glucose"])
    found = {
        "seqn": raw.index.to_series(),
        "cycle": pd.Series(cycle.name, index=raw.index, dtype="str"),
        "batch": pd.Series(float(cycle.batch), index=raw.index),
        "year_mid": pd.Series(cycle.year_mid, index=raw.index),
        "age": raw["age"].clip(upper=OLDEST),
        "male": raw["sex"].map({1.0: 1.0, 2.0: 0.0}),
        "race_eth": raw["race_eth"].map(RACES).astype("str"),
        "education": raw["education"].where(raw["education"].isin(LEVELS)),
        "pregnant": _is(raw["pregnant"], 1),
        "smoking": _smoking(raw),
        **_pressure(raw, cycle),
        "creatinine": _creatinine(raw["creatinine"], cycle),
        "dx_diabetes": diagnosed,
        "dx_borderline": _is(raw["told_diabetes"], 3),
        "age_dx_diabetes": raw["age_told"].where(raw["age_told"].between(*_AGES_AT_DIAGNOSIS)),
        "insulin": _unless_asked(raw["takes_insulin"].map(YES_NO), diagnosed),
        "diabetes_pills": _unless_asked(raw["takes_pills"].map(YES_NO), diagnosed),
        "dx_high_bp": raw["told_high_bp"].map(YES_NO),
        "bp_meds": _is(raw["takes_bp"], 1).where(raw["told_high_bp"].isin(YES_NO)),
        "dx_high_chol": raw["told_high_chol"].map(YES_NO),
        "chol_meds": _is(raw["takes_chol"], 1).where(raw["told_high_bp"].notna()),
        "cvd_history": _any_told(raw, ("heart_failure", "coronary", "heart_attack", "stroke")),
        "lab_diabetes": laboratory,
        "any_diabetes": either(diagnosed, laboratory),
        "undiagnosed_diabetes": _undiagnosed(diagnosed, laboratory),
        "weight_mec_2yr": raw["weight_mec_2yr"].round(1),
        "weight_fasting_2yr": raw["weight_fasting_2yr"].round(1),
        **{name: raw[name] for name in _AS_RECORDED},
    }
    return pd.DataFrame({name: found[name] for name in COLUMNS})


def _is(values: Values, code: float) -> Values:
    return (values == code).astype("float64")


def _pressure(raw: pd.DataFrame, cycle: Cycle) -> dict[str, Values]:
    by_machine = "pressure by machine" in cycle.files
    return {
        "sbp": _mean(raw, "sbp", 1e-70),
        "dbp": _mean(raw, "dbp", _LOWEST_DIASTOLIC),
        "pulse": _mean(raw, "pulse", 1e-70),
        "bp_oscillometric": pd.Series(float(by_machine), index=raw.index),
    }


def _mean(raw: pd.DataFrame, kind: str, least: float) -> Values:
    """Mean of the readings, to one decimal; a reading below ``least`` means that nothing was heard."""
    readings = raw[[name for name in raw.columns if name.startswith(f"{kind}_")]]
    return readings.where(readings >= least).mean(axis=1).round(1)


def _creatinine(values: Values, cycle: Cycle) -> Values:
    if cycle.name not in RECALIBRATED:
        return values
    slope, intercept = RECALIBRATED[cycle.name]
    return (slope * values + intercept).round(3)


def _smoking(raw: pd.DataFrame) -> Values:
    ever, now = raw["smoked_100"], raw["smokes_now"]
    words = np.select([ever == 2, (ever == 1) & (now == 3), (ever == 1) & now.isin([1, 2])], SMOKING, default="")
    return pd.Series(words, index=raw.index, dtype="str").where(words != "", None)


def _unless_asked(answer: Values, diagnosed: Values) -> Values:
    """No, where there is no answer from a person without a diagnosis."""
    return answer.where(answer.notna() | (diagnosed != 0), 0.0)


def _any_told(raw: pd.DataFrame, names: tuple[str, ...]) -> Values:
    """1 where one answer is yes, 0 where all that were given are no; unknown where none was given."""
    return pd.concat([raw[name].map(YES_NO) for name in names], axis=1).max(axis=1)


def _laboratory(hba1c: Values, glucose: Values) -> Values:
    """1 where one value is in the diabetic range; else 0, or unknown where there is no glycohaemoglobin."""
    high = (hba1c >= _HBA1C_OF_DIABETES) | (glucose >= _GLUCOSE_OF_DIABETES)
    return high.astype("float64").where(high | hba1c.notna())


def _undiagnosed(diagnosed: Values, laboratory: Values) -> Values:
    """1 where the laboratory found what no doctor has told; unknown where either is, save after a diagnosis."""
    found = ((diagnosed == 0) & (laboratory == 1)).astype("float64")
    return found.where(diagnosed.notna() & ((diagnosed == 1) | laboratory.notna()))
