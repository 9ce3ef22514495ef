"""Which file of which survey cycle gives which column: the CDC's tables as data, and nothing that works with them.

A cycle has one file a subject. Where the CDC renamed a variable over the years its names stand side by side here, with
"or" between them, and a file has exactly one of them. So with files: early ones of the laboratory are called ``LAB..``
and ``L.._B``; blood pressure was measured by ear until 2018 (``BPX``) and is measured by a machine since (``BPXO``).

The pre-pandemic files ``P_..`` hold the people of 2017-2018 again, under other numbers, together with those of 2019 to
March 2020, so that one of 2017-2018 and 2017-2020 can be taken. 2021-2023 came out without triglycerides and
chemistry; the CDC has published them since, but the eleven-cycle table does without, and so does this one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

CycleName = Literal[
    "1999-2000",
    "2001-2002",
    "2003-2004",
    "2005-2006",
    "2007-2008",
    "2009-2010",
    "2011-2012",
    "2013-2014",
    "2015-2016",
    "2017-2018",
    "2017-2020",
    "2021-2023",
]

SERVER = "https://wwwn.cdc.gov/Nchs/Data/Nhanes/Public"
"""Until 2024 the files lay at https://wwwn.cdc.gov/Nchs/Nhanes/<cycle>/<file>.XPT."""

KEY = "SEQN"

VARIABLES: dict[str, dict[str, str]] = {
    "people": {
        "status": "RIDSTATR",
        "age": "RIDAGEYR",
        "sex": "RIAGENDR",
        "race_eth": "RIDRETH1",
        "education": "DMDEDUC2",
        "income_poverty_ratio": "INDFMPIR",
        "pregnant": "RIDEXPRG",
        "weight_mec_2yr": "WTMEC2YR or WTMECPRP",
        "psu": "SDMVPSU",
        "stratum": "SDMVSTRA",
    },
    "body": {"height_cm": "BMXHT", "weight_kg": "BMXWT", "bmi": "BMXBMI", "waist_cm": "BMXWAIST"},
    "pressure by ear": {
        **{f"sbp_{reading}": f"BPXSY{reading}" for reading in (1, 2, 3, 4)},
        **{f"dbp_{reading}": f"BPXDI{reading}" for reading in (1, 2, 3, 4)},
        "pulse_1": "BPXPLS",
    },
    "pressure by machine": {
        **{f"sbp_{reading}": f"BPXOSY{reading}" for reading in (1, 2, 3)},
        **{f"dbp_{reading}": f"BPXODI{reading}" for reading in (1, 2, 3)},
        **{f"pulse_{reading}": f"BPXOPLS{reading}" for reading in (1, 2, 3)},
    },
    "glycohaemoglobin": {"hba1c": "LBXGH"},
    "fasting glucose": {"fasting_glucose": "LBXGLU", "weight_fasting_2yr": "WTSAF2YR or WTSAFPRP"},
    "cholesterol": {"total_chol": "LBXTC"},
    "hdl": {"hdl": "LBDHDL or LBXHDD or LBDHDD"},
    "triglycerides": {"fasting_trig": "LBXTR", "ldl": "LBDLDL"},
    "chemistry": {
        "serum_glucose": "LBXSGL",
        "creatinine": "LBXSCR or LBDSCR",
        "uric_acid": "LBXSUA",
        "alt": "LBXSATSI",
        "ggt": "LBXSGTSI",
        "albumin": "LBXSAL",
        "bun": "LBXSBU",
    },
    "diabetes": {
        "told_diabetes": "DIQ010",
        "age_told": "DIQ040Q or DID040Q or DID040",
        "takes_insulin": "DIQ050",
        "takes_pills": "DIQ070 or DID070",
    },
    "pressure and cholesterol": {
        "told_high_bp": "BPQ020",
        "takes_bp": "BPQ050A or BPQ150",
        "told_high_chol": "BPQ080",
        "takes_chol": "BPQ100D or BPQ101D",
    },
    "smoking": {"smoked_100": "SMQ020", "smokes_now": "SMQ040"},
    "conditions": {"heart_failure": "MCQ160B", "coronary": "MCQ160C", "heart_attack": "MCQ160E", "stroke": "MCQ160F"},
}

_NOW = {
    "people": "DEMO",
    "body": "BMX",
    "pressure by ear": "BPX",
    "glycohaemoglobin": "GHB",
    "fasting glucose": "GLU",
    "cholesterol": "TCHOL",
    "hdl": "HDL",
    "triglycerides": "TRIGLY",
    "chemistry": "BIOPRO",
    "diabetes": "DIQ",
    "pressure and cholesterol": "BPQ",
    "smoking": "SMQ",
    "conditions": "MCQ",
}
_FIRST = _NOW | {
    "glycohaemoglobin": "LAB10",
    "fasting glucose": "LAB10AM",
    "cholesterol": "LAB13",
    "hdl": "LAB13",
    "triglycerides": "LAB13AM",
    "chemistry": "LAB18",
}
_EARLY = _NOW | {
    "glycohaemoglobin": "L10",
    "fasting glucose": "L10AM",
    "cholesterol": "L13",
    "hdl": "L13",
    "triglycerides": "L13AM",
    "chemistry": "L40",
}
_MACHINE = {subject: stem for subject, stem in _NOW.items() if subject != "pressure by ear"} | {
    "pressure by machine": "BPXO"
}
_LATEST = {subject: stem for subject, stem in _MACHINE.items() if subject not in ("triglycerides", "chemistry")}


@dataclass(frozen=True)
class Cycle:
    """A survey cycle.

    Attributes:
        name: Its years, as the column ``cycle`` has them.
        batch: Its place in time among the eleven.
        year_mid: Middle of the cycle, in years.
        path: Where its files lie below the server's address; ``{}`` stands for a file's name.
        files: File by subject, without ending.
    """

    name: CycleName
    batch: int
    year_mid: float
    path: str
    files: Mapping[str, str]


def _cycle(name: CycleName, batch: int, year_mid: float, form: str, stems: Mapping[str, str]) -> Cycle:
    files = {subject: form.format(stem) for subject, stem in stems.items()}
    return Cycle(name, batch, year_mid, f"{name[:4]}/DataFiles/{{}}.xpt", files)


CYCLES = (
    _cycle("1999-2000", 1, 2000.0, "{}", _FIRST),
    _cycle("2001-2002", 2, 2002.0, "{}_B", _EARLY),
    _cycle("2003-2004", 3, 2004.0, "{}_C", _EARLY),
    _cycle("2005-2006", 4, 2006.0, "{}_D", _NOW),
    _cycle("2007-2008", 5, 2008.0, "{}_E", _NOW),
    _cycle("2009-2010", 6, 2010.0, "{}_F", _NOW),
    _cycle("2011-2012", 7, 2012.0, "{}_G", _NOW),
    _cycle("2013-2014", 8, 2014.0, "{}_H", _NOW),
    _cycle("2015-2016", 9, 2016.0, "{}_I", _NOW),
    _cycle("2017-2018", 10, 2018.0, "{}_J", _NOW),
    _cycle("2017-2020", 10, 2018.6, "P_{}", _MACHINE),
    _cycle("2021-2023", 11, 2022.6, "{}_L", _LATEST),
)
PRE_PANDEMIC: CycleName = "2017-2020"
ELEVEN: tuple[CycleName, ...] = tuple(cycle.name for cycle in CYCLES if cycle.name != PRE_PANDEMIC)

EXAMINED = 2
ADULT = 20
OLDEST = 80
RACES = {1.0: "mexican_american", 2.0: "other_hispanic", 3.0: "white", 4.0: "black", 5.0: "other"}
SMOKING = ("never", "former", "current")
YES_NO = {1.0: 1.0, 2.0: 0.0}
TOLD_DIABETES = {1.0: 1.0, 2.0: 0.0, 3.0: 0.0}
"""1 yes, 2 no, 3 borderline."""
LEVELS = (1.0, 2.0, 3.0, 4.0, 5.0)
RECALIBRATED = {"1999-2000": (1.013, 0.147), "2005-2006": (0.978, -0.016)}
"""Slope and intercept for serum creatinine, mg/dL, by cycle, as the CDC's notes on LAB18 and BIOPRO_D advise."""

COLUMNS = {
    "seqn": "int32",
    "cycle": "large_string",
    "batch": "int8",
    "year_mid": "float64",
    "age": "int64",
    "male": "int8",
    "race_eth": "large_string",
    "education": "float32",
    "income_poverty_ratio": "float32",
    "pregnant": "int8",
    "smoking": "large_string",
    **dict.fromkeys(("height_cm", "weight_kg", "bmi", "waist_cm", "sbp", "dbp", "pulse"), "float32"),
    "bp_oscillometric": "int8",
    **dict.fromkeys(("hba1c", "fasting_glucose", "serum_glucose", "total_chol", "hdl", "ldl"), "float32"),
    **dict.fromkeys(("fasting_trig", "creatinine", "uric_acid", "alt", "ggt", "albumin", "bun"), "float32"),
    "dx_diabetes": "float32",
    "dx_borderline": "int8",
    "age_dx_diabetes": "float32",
    **dict.fromkeys(("insulin", "diabetes_pills", "dx_high_bp", "bp_meds", "dx_high_chol", "chol_meds"), "float32"),
    **dict.fromkeys(("cvd_history", "lab_diabetes", "any_diabetes", "undiagnosed_diabetes"), "float32"),
    "weight_mec_2yr": "float64",
    "weight_fasting_2yr": "float64",
    "psu": "int16",
    "stratum": "int16",
}
"""The columns of the table in their order, each with its type in Arrow."""


def chosen(names: tuple[CycleName, ...]) -> tuple[Cycle, ...]:
    """The cycles of these names, in time order."""
    return tuple(cycle for cycle in CYCLES if cycle.name in names)
