"""From the CDC's files to the table: rules on people made up for them, and all people of the real table, taken back
into codes."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from components.errors import OutsideError
from components.ingestion.cdc import build as building
from components.ingestion.cdc.build import build, cycle_of, table_of
from components.ingestion.cdc.tables import COLUMNS, CYCLES, ELEVEN, VARIABLES, Cycle, chosen

DATA = Path(os.environ.get("KINTSUGI_TEST_DATA", Path(__file__).parents[4].parent / "shared" / "data"))
REAL = DATA / "health" / "nhanes_adults_1999_2023.parquet"
NOTHING = float("nan")
RACES = {"mexican_american": 1, "other_hispanic": 2, "white": 3, "black": 4, "other": 5}


def unheard(count: int) -> None:
    """Nobody listens."""


def cycle(name: str) -> Cycle:
    return next(each for each in CYCLES if each.name == name)


def laid(folder: Path, files: dict[str, bytes]) -> Path:
    for place, content in files.items():
        (folder / place.rsplit("/", 1)[1]).write_bytes(content)
    return folder


def table(make: SimpleNamespace, folder: Path, name: str, *people: dict[str, Any]) -> pd.DataFrame:
    return cycle_of(laid(folder, make.survey({name: people})), cycle(name)).set_index("seqn")


@pytest.mark.parametrize("each", CYCLES, ids=lambda each: each.name)
def test_each_cycle_has_the_files_and_variables_that_were_published(make: SimpleNamespace, each: Cycle) -> None:
    published = make.published(each.name)
    assert set(each.files.values()) == set(published)
    for subject, file in each.files.items():
        for names in VARIABLES[subject].values():
            assert sum(name in published[file] for name in names.split(" or ")) == 1
    used = {names for subject in each.files for names in VARIABLES[subject].values()}
    unused = {name for names in published.values() for name in names} - {
        n for names in used for n in names.split(" or ")
    }
    assert not unused
    assert each.path == f"{each.name[:4]}/DataFiles/{{}}.xpt"


def test_the_eleven_cycles_are_138_files_in_time_order() -> None:
    eleven = chosen(ELEVEN)
    assert sum(len(set(each.files.values())) for each in eleven) == 138
    assert [each.batch for each in eleven] == list(range(1, 12))
    assert [each.year_mid for each in eleven] == sorted(each.year_mid for each in eleven)


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        # Names that changed: HDL has had three, the age at diagnosis three, pills two.
        (
            "1999-2000",
            {"LBDHDL": 51, "DIQ040Q": 44, "DIQ070": 1},
            {"hdl": 51, "age_dx_diabetes": 44, "diabetes_pills": 1},
        ),
        (
            "2003-2004",
            {"LBXHDD": 52, "DID040Q": 45, "DIQ070": 2},
            {"hdl": 52, "age_dx_diabetes": 45, "diabetes_pills": 0},
        ),
        (
            "2007-2008",
            {"LBDHDD": 53, "DID040": 46, "DID070": 1},
            {"hdl": 53, "age_dx_diabetes": 46, "diabetes_pills": 1},
        ),
        ("2001-2002", {"LBDSCR": 0.7}, {"creatinine": 0.7}),
        # Creatinine was recalibrated in two cycles.
        ("1999-2000", {"LBXSCR": 0.7}, {"creatinine": 0.856}),
        ("2005-2006", {"LBXSCR": 1.0}, {"creatinine": 0.962}),
        ("2007-2008", {"LBXSCR": 1.0}, {"creatinine": 1.0}),
        # Blood pressure: means to one decimal; a diastolic reading below 20 means that nothing was heard.
        (
            "2009-2010",
            {"BPXSY1": 120, "BPXSY2": 121, "BPXSY4": 121, "BPXDI1": 0, "BPXDI2": 71},
            {"sbp": 120.7, "dbp": 71},
        ),
        ("2009-2010", {"BPXDI1": 0, "BPXDI2": 18, "BPXPLS": 64}, {"sbp": NOTHING, "dbp": NOTHING, "pulse": 64}),
        ("2009-2010", {"BPXDI1": 5.397605346934028e-79, "BPXDI3": 66}, {"dbp": 66, "bp_oscillometric": 0}),
        (
            "2021-2023",
            {"BPXOSY1": 120, "BPXOSY3": 125, "BPXOPLS1": 60, "BPXOPLS2": 61, "BPXOPLS3": 61},
            {"sbp": 122.5, "pulse": 60.7, "bp_oscillometric": 1},
        ),
        ("2017-2020", {"BPXODI1": 70, "BPXODI2": 71, "BPXODI3": 73}, {"dbp": 71.3, "bp_oscillometric": 1}),
        # Weights of the pre-pandemic files have names of their own.
        ("2017-2020", {"WTSAFPRP": 22.06, "LBXGLU": 100}, {"weight_mec_2yr": 1000.0, "weight_fasting_2yr": 22.1}),
        ("2017-2018", {"WTSAF2YR": 0, "INDFMPIR": 0}, {"weight_fasting_2yr": 0, "income_poverty_ratio": 0}),
        # Codes for people, and for what they refused or did not know.
        (
            "2011-2012",
            {"RIDAGEYR": 85, "RIAGENDR": 2, "RIDRETH1": 1, "RIDEXPRG": 1},
            {"age": 80, "male": 0, "race_eth": "mexican_american", "pregnant": 1},
        ),
        (
            "2011-2012",
            {"RIDRETH1": 5, "DMDEDUC2": 9, "RIDEXPRG": 3},
            {"race_eth": "other", "education": NOTHING, "pregnant": 0},
        ),
        ("2011-2012", {"DMDEDUC2": 5, "INDFMPIR": ".A"}, {"education": 5, "income_poverty_ratio": NOTHING}),
        ("2013-2014", {"SMQ020": 2}, {"smoking": "never"}),
        ("2013-2014", {"SMQ020": 1, "SMQ040": 3}, {"smoking": "former"}),
        ("2013-2014", {"SMQ020": 1, "SMQ040": 2}, {"smoking": "current"}),
        ("2013-2014", {"SMQ020": 9, "SMQ040": 1}, {"smoking": NOTHING}),
        ("2013-2014", {"SMQ020": 1, "SMQ040": 7}, {"smoking": NOTHING}),
        # Diabetes: borderline is no diagnosis; who has none is not asked for insulin in some cycles.
        (
            "2015-2016",
            {"DIQ010": 1, "DID040": 666, "DIQ050": 9, "LBXGH": 5.0},
            {
                "dx_diabetes": 1,
                "age_dx_diabetes": NOTHING,
                "insulin": NOTHING,
                "any_diabetes": 1,
                "undiagnosed_diabetes": 0,
            },
        ),
        (
            "2015-2016",
            {"DIQ010": 3, "LBXGH": 6.5},
            {"dx_diabetes": 0, "dx_borderline": 1, "insulin": 0, "any_diabetes": 1, "undiagnosed_diabetes": 1},
        ),
        (
            "2015-2016",
            {"DIQ010": 2, "LBXGLU": 126},
            {"lab_diabetes": 1, "undiagnosed_diabetes": 1, "diabetes_pills": 0},
        ),
        ("2015-2016", {"DIQ010": 2, "LBXGLU": 125}, {"lab_diabetes": NOTHING, "any_diabetes": NOTHING}),
        ("2015-2016", {"DIQ010": 2, "LBXGH": 6.4}, {"lab_diabetes": 0, "any_diabetes": 0, "undiagnosed_diabetes": 0}),
        (
            "2015-2016",
            {"DIQ010": 7, "LBXGH": 7.0, "DID040": 99},
            {"dx_diabetes": NOTHING, "any_diabetes": 1, "undiagnosed_diabetes": NOTHING, "insulin": NOTHING},
        ),
        # Drugs: who was not told of high pressure is not asked; unknown whether told is unknown whether treated.
        ("2017-2018", {"BPQ020": 2}, {"dx_high_bp": 0, "bp_meds": 0, "chol_meds": 0}),
        (
            "2017-2018",
            {"BPQ020": 1, "BPQ050A": 1, "BPQ080": 1, "BPQ100D": 1},
            {"bp_meds": 1, "dx_high_chol": 1, "chol_meds": 1},
        ),
        ("2017-2018", {"BPQ020": 9, "BPQ080": 9}, {"bp_meds": NOTHING, "dx_high_chol": NOTHING, "chol_meds": 0}),
        ("2017-2018", {}, {"dx_high_bp": NOTHING, "bp_meds": NOTHING, "chol_meds": NOTHING}),
        (
            "2021-2023",
            {"BPQ020": 1, "BPQ150": 1, "BPQ101D": 1},
            {"bp_meds": 1, "chol_meds": 1, "serum_glucose": NOTHING},
        ),
        # Told of any of four.
        (
            "2017-2018",
            {"MCQ160B": 2, "MCQ160C": 9, "MCQ160E": 1, "MCQ160F": 2},
            {"cvd_history": 1},
        ),
        ("2017-2018", {"MCQ160B": 2, "MCQ160F": 9}, {"cvd_history": 0}),
        ("2017-2018", {"MCQ160B": 9, "MCQ160F": 7}, {"cvd_history": NOTHING}),
    ],
)
def test_a_person_becomes_what_the_rules_say(
    make: SimpleNamespace, tmp_path: Path, name: str, said: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = table(make, tmp_path, name, make.person(7, **said)).loc[7]
    for column, value in expected.items():
        if isinstance(value, str):
            assert found[column] == value
        else:
            np.testing.assert_allclose(float(found[column]), value, rtol=1e-12, err_msg=column)


def test_only_examined_adults_are_taken_and_joined_by_their_number(make: SimpleNamespace, tmp_path: Path) -> None:
    people = [
        make.person(9, BMXBMI=29.0, LBXGH=5.9),
        make.person(4, BMXBMI=24.0, LBXGH=5.4),
        make.person(5, RIDAGEYR=19, BMXBMI=25.0),
        make.person(6, RIDSTATR=1, BMXBMI=26.0),
    ]
    laid(tmp_path, make.survey({"2015-2016": people}))
    (tmp_path / "GHB_I.xpt").write_bytes(make.xpt({"SEQN": [4, 999, 9], "LBXGH": [5.4, 7.7, 5.9]}))
    (tmp_path / "MCQ_I.xpt").write_bytes(make.xpt({"SEQN": [9], **{f"MCQ160{c}": [1] for c in "BCEF"}}))
    found = cycle_of(tmp_path, cycle("2015-2016"))
    assert found["seqn"].tolist() == [4, 9]
    assert found["bmi"].tolist() == [24.0, 29.0]
    assert found["hba1c"].tolist() == [5.4, 5.9]
    np.testing.assert_array_equal(found["cvd_history"], [NOTHING, 1.0])


@pytest.mark.parametrize(
    ("file", "columns", "words"),
    [
        (
            "HDL_I",
            {"SEQN": [1], "LBXHDL": [50]},
            r"HDL_I\.xpt of cycle 2015-2016 must have one of the columns LBDHDL, LBXHDD",
        ),
        ("HDL_I", {"SEQN": [1], "LBDHDD": [50], "LBDHDL": [50]}, r"it has LBDHDL, LBDHDD"),
        ("GHB_I", {"SEQN": [1, 1], "LBXGH": [5, 6]}, r"GHB_I\.xpt of cycle 2015-2016 must have one row a participant"),
        ("GHB_I", {"LBXGH": [5, 6]}, r"GHB_I\.xpt of cycle 2015-2016 has no column of numbers called SEQN"),
    ],
)
def test_a_file_that_is_not_as_documented_is_named(
    make: SimpleNamespace, tmp_path: Path, file: str, columns: dict[str, Any], words: str
) -> None:
    laid(tmp_path, make.survey({"2015-2016": [make.person(1)]}))
    (tmp_path / f"{file}.xpt").write_bytes(make.xpt(columns))
    with pytest.raises(OutsideError, match=words):
        cycle_of(tmp_path, cycle("2015-2016"))


def test_what_must_be_known_of_everyone_is_asked_for(make: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(OutsideError, match=r"male must be known of everyone in cycle 2015-2016"):
        table(make, tmp_path, "2015-2016", make.person(1), make.person(2, RIAGENDR="."))


def test_the_same_files_give_the_same_bytes_and_a_failure_nothing(make: SimpleNamespace, tmp_path: Path) -> None:
    people = {
        name: [make.person(number, BMXBMI=20 + number) for number in (1, 2, 3)] for name in ("2013-2014", "2017-2020")
    }
    cycles, contents = chosen(tuple(people)), []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        laid(tmp_path / name, make.survey(people))
        build(tmp_path / name, cycles, tmp_path / name / "table.parquet", unheard)
        contents.append((tmp_path / name / "table.parquet").read_bytes())
    assert contents[0] == contents[1]
    assert pq.read_metadata(tmp_path / "one" / "table.parquet").num_row_groups == 2
    (tmp_path / "one" / "P_BMX.xpt").write_bytes(b"nothing")
    with pytest.raises(OutsideError, match=r"P_BMX\.xpt of cycle 2017-2020"):
        build(tmp_path / "one", cycles, tmp_path / "one" / "again.parquet", unheard)
    assert sorted(path.suffix for path in (tmp_path / "one").iterdir() if path.suffix != ".xpt") == [".parquet"]


def test_a_table_is_named_after_its_files_its_cycles_and_the_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    two, one = chosen(("2013-2014", "2015-2016")), chosen(("2013-2014",))
    first = table_of(tmp_path, two, ["a", "b"])
    assert len({first, table_of(tmp_path, one, ["a", "b"]), table_of(tmp_path, two, ["a", "c"])}) == 3
    copy = shutil.copytree(Path(building.__file__).parent, tmp_path / "cdc")
    monkeypatch.setattr(building, "__file__", str(copy / "build.py"))
    assert table_of(tmp_path, two, ["a", "b"]) == first
    (copy / "tidying.py").write_text("# other rules")
    assert table_of(tmp_path, two, ["a", "b"]) != first


def coded(real: pd.DataFrame) -> pd.DataFrame:
    """The real table's people in the CDC's codes; where several codes mean the same, they alternate."""
    other = pd.Series(np.arange(len(real)) % 2 == 0, index=real.index)
    raw: dict[str, Any] = {
        "SEQN": real["seqn"], "RIDSTATR": 2, "RIDAGEYR": real["age"], "RIAGENDR": 2 - real["male"],
        "RIDRETH1": real["race_eth"].map(RACES),
        "DMDEDUC2": real["education"].fillna(9), "INDFMPIR": real["income_poverty_ratio"],
        "RIDEXPRG": np.where(real["pregnant"] == 1, 1, np.where(other, 2, NOTHING)),
        "WTMEC2YR": real["weight_mec_2yr"], "SDMVPSU": real["psu"], "SDMVSTRA": real["stratum"],
        "BMXHT": real["height_cm"], "BMXWT": real["weight_kg"], "BMXBMI": real["bmi"], "BMXWAIST": real["waist_cm"],
        "LBXGH": real["hba1c"], "LBXGLU": real["fasting_glucose"], "WTSAF2YR": real["weight_fasting_2yr"],
        "LBXTC": real["total_chol"], "LBXTR": real["fasting_trig"], "LBDLDL": real["ldl"],
        "LBXSGL": real["serum_glucose"],
        "LBXSUA": real["uric_acid"], "LBXSATSI": real["alt"], "LBXSGTSI": real["ggt"], "LBXSAL": real["albumin"],
        "LBXSBU": real["bun"],
    }  # fmt: skip
    raw |= dict.fromkeys(("LBDHDL", "LBXHDD", "LBDHDD"), real["hdl"])
    for reading in (1, 2, 3):
        raw |= dict.fromkeys((f"BPXSY{reading}", f"BPXOSY{reading}"), real["sbp"].where(other | (reading != 2)))
        raw |= dict.fromkeys(
            (f"BPXDI{reading}", f"BPXODI{reading}"), real["dbp"].fillna(0).where(other | (reading != 3))
        )
        raw[f"BPXOPLS{reading}"] = real["pulse"]
    raw |= {"BPXSY4": NOTHING, "BPXDI4": 0.0, "BPXPLS": real["pulse"].fillna(0)}
    early, middle = real["cycle"] == "1999-2000", real["cycle"] == "2005-2006"
    creatinine = real["creatinine"].astype("float64")
    creatinine = creatinine.where(~early, (creatinine - 0.147) / 1.013).where(~middle, (creatinine + 0.016) / 0.978)
    raw |= dict.fromkeys(("LBXSCR", "LBDSCR"), creatinine)
    told = real["dx_diabetes"]
    raw["DIQ010"] = np.where(real["dx_borderline"] == 1, 3, told.map({1: 1, 0: 2}).fillna(9))
    raw |= dict.fromkeys(
        ("DIQ040Q", "DID040Q", "DID040"), real["age_dx_diabetes"].fillna(pd.Series(np.where(other, 999, 666)))
    )
    skipped = (told == 0) & other
    raw["DIQ050"] = (
        real["insulin"]
        .map({1: 1, 0: 2})
        .where(~skipped | (real["insulin"] == 1))
        .fillna(9)
        .where(~skipped | (real["insulin"] == 1))
    )
    raw |= dict.fromkeys(
        ("DIQ070", "DID070"), real["diabetes_pills"].map({1: 1, 0: 2}).where(~skipped | (real["diabetes_pills"] == 1))
    )
    raw["BPQ020"] = real["dx_high_bp"].map({1: 1, 0: 2}).fillna(9).where(real["chol_meds"].notna())
    raw |= dict.fromkeys(("BPQ050A", "BPQ150"), np.where(real["bp_meds"] == 1, 1, np.where(other, 2, NOTHING)))
    raw["BPQ080"] = real["dx_high_chol"].map({1: 1, 0: 2}).fillna(9)
    raw |= dict.fromkeys(("BPQ100D", "BPQ101D"), np.where(real["chol_meds"] == 1, 1, np.where(other, 2, NOTHING)))
    raw["SMQ020"] = real["smoking"].map({"never": 2, "former": 1, "current": 1}).fillna(7)
    raw["SMQ040"] = np.where(
        real["smoking"] == "current", np.where(other, 1, 2), np.where(real["smoking"] == "former", 3, NOTHING)
    )
    for letter in "BCEF":
        raw[f"MCQ160{letter}"] = np.where(
            real["cvd_history"] == 1, np.where(other | (letter == "E"), 1, 2), real["cvd_history"].map({0: 2}).fillna(9)
        )
    return pd.DataFrame(raw)


@pytest.mark.real_data
def test_the_real_table_comes_back_from_its_codes(make: SimpleNamespace, tmp_path: Path) -> None:
    if not REAL.is_file():
        pytest.skip(f"the eleven-cycle table is not at {REAL}; set KINTSUGI_TEST_DATA")
    oracle = pq.read_table(REAL).replace_schema_metadata(None)
    real = oracle.to_pandas()
    raw = coded(real).astype("float64")
    for each in chosen(ELEVEN):
        people = raw[real["cycle"] == each.name]
        for file, names in make.published(each.name).items():
            columns = {name: people[name].to_numpy() for name in ("SEQN", *names)}
            (tmp_path / f"{file}.xpt").write_bytes(make.xpt(columns))
    build(tmp_path, chosen(ELEVEN), tmp_path / "table.parquet", unheard)
    found = pq.read_table(tmp_path / "table.parquet")
    assert found.schema == oracle.schema
    for name in COLUMNS:
        assert found[name].equals(oracle[name]), name
