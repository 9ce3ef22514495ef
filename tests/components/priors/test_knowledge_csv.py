"""A table of claims is read as meant, or refused with the line at fault; unsure claims give way to surer ones."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.contracts import Evidence, Reliability
from components.errors import InputError
from components.priors import combine, load_knowledge

NAMES = ("age", "sex", "bmi", "hba1c")
CLAIMS = ("required path", "forbidden path", "required edge", "forbidden edge")


def written(folder: Path, text: str, name: str = "knowledge.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str, name: str = "knowledge.csv", known: tuple[str, ...] = ()) -> tuple[Evidence, ...]:
    return load_knowledge(written(folder, text, name), NAMES, known)


def test_every_column_is_read_as_meant(tmp_path: Path) -> None:
    text = (
        "\ufeffCause, effect ,CLAIM,probability,source\r\n"
        "age,hba1c,Required  Path,,\r\n"
        "\r\n"
        'bmi,age,forbidden edge,0.9,"Smith, 1999"\r\n'
        "bmi,hba1c,required edge,1,\r\n"
    )
    assert loaded(tmp_path, text) == (
        Evidence("hba1c", "age", "required path", "person", 1.0, "stated"),
        Evidence("age", "bmi", "forbidden edge", "person", 0.9, "stated, from Smith, 1999"),
        Evidence("hba1c", "bmi", "required edge", "person", 1.0, "stated"),
    )
    assert loaded(tmp_path, "claim,cause,effect\nrequired path,age,bmi\n", "other.CSV")[0].cause == "age"
    assert loaded(tmp_path, "cause,effect,claim\n") == ()


@given(
    rows=st.lists(
        st.tuples(st.permutations(NAMES), st.sampled_from(CLAIMS), st.sampled_from([0.6, 0.9, 0.99])), max_size=6
    )
)
def test_yaml_and_csv_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[list[str], str, float]]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    lines = [f"{pair[0]},{pair[1]},{claim},{sure}" for pair, claim, sure in rows]
    groups: dict[str, list[str]] = {claim: [] for claim in CLAIMS}
    for pair, claim, sure in rows:
        groups[claim].append(f"{{cause: {pair[0]}, effect: {pair[1]}, probability: {sure}}}")
    listed = {claim: f"[{', '.join(pairs)}]" for claim, pairs in groups.items()}
    text = "".join(
        f"{verdict}: {{paths: {listed[f'{verdict} path']}, edges: {listed[f'{verdict} edge']}}}\n"
        for verdict in ("required", "forbidden")
    )
    table = loaded(folder, "\n".join(["cause,effect,claim,probability", *lines]))
    assert set(table) == set(loaded(folder, text, "knowledge.yaml"))
    combine(NAMES, table)


BAD = {
    "no header": ("age,bmi,required path\n", "columns of .* must be among cause, effect, claim, .*, got 'age'"),
    "nothing": ("", "must hold cause, effect, claim in the first line, cause is missing"),
    "column missing": ("cause,effect\nage,bmi\n", "claim is missing"),
    "column misspelt": ("cause,efect,claim\n", "did you mean 'effect'"),
    "column twice": ("cause,effect,claim,cause\n", "got 'cause' twice"),
    "unknown cause": ("cause,effect,claim\nagee,bmi,required path\n", r"cause of line 2 of knowledge\.csv .*'age'"),
    "unknown effect": ("cause,effect,claim\n\nage,bm,required path\n", r"effect of line 3 of knowledge\.csv .*'bmi'"),
    "unknown claim": ("cause,effect,claim\nage,bmi,requires path\n", "claim of line 2 .* did you mean 'required path'"),
    "no claim": ("cause,effect,claim\nage,bmi,\n", "claim of line 2 of .* must be one of required path"),
    "self": ("cause,effect,claim\nbmi,bmi,required path\n", "line 2 .* 'bmi' causing itself"),
    "too many cells": ("cause,effect,claim\nage,bmi,required path,0.9\n", "line 2 .* must have 3 cells, got 4"),
    "too few cells": ("cause,effect,claim\nage,bmi\n", "line 2 .* must have 3 cells, got 2"),
    "no number": (
        "cause,effect,claim,probability\nage,bmi,required path,sure\n",
        r"probability of line 2 .*\(0.5, 1\]",
    ),
    "nan": ("cause,effect,claim,probability\nage,bmi,required path,nan\n", r"probability of line 2 .* got 'nan'"),
    "below one half": ("cause,effect,claim,probability\nage,bmi,required path,0.5\n", "claim the opposite"),
    "above one": ("cause,effect,claim,probability\nage,bmi,required path,95\n", r"probability .*\(0.5, 1\], got '95'"),
    "open quote": ('cause,effect,claim\n"age,bmi,required path\n', "must be CSV"),
    "contradiction": (
        "cause,effect,claim\nage,bmi,required path\nbmi,age,required path\n",
        "knowledge must not contradict itself, but the required age -> bmi -> age is a cycle",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=list(BAD))
def test_a_bad_table_is_refused_in_a_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        loaded(tmp_path, text)
    assert "\n" not in str(caught.value)


BAD_PAIRS = {
    "misspelt": ("{cause: age, efect: bmi}", "did you mean 'effect'"),
    "effect missing": ("{cause: age}", "must hold names of variables, got None"),
    "bad probability": ("{cause: age, effect: bmi, probability: 0.2}", "probability of age -> bmi in required paths"),
    "flag": ("{cause: age, effect: bmi, probability: true}", r"must lie in \(0.5, 1\], got True"),
    "source": ("{cause: age, effect: bmi, source: [1]}", r"source of a pair of required paths must be text, got \[1\]"),
    "self": ("{cause: age, effect: age}", "'age' causing itself"),
    "empty": ("{}", "must hold pairs"),
}


@pytest.mark.parametrize(("pair", "message"), BAD_PAIRS.values(), ids=list(BAD_PAIRS))
def test_a_bad_pair_in_yaml_is_refused_in_a_sentence(tmp_path: Path, pair: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        loaded(tmp_path, f"required: {{paths: [{pair}]}}\n", "knowledge.yaml")


def test_what_a_person_is_unsure_of_is_repaired_and_told(tmp_path: Path) -> None:
    text = (
        "cause,effect,claim,probability\nage,bmi,required path,\nbmi,hba1c,required path,0.9\n"
        "hba1c,age,required path,0.8\nsex,age,required path,0.7\n"
    )
    person = loaded(tmp_path, text)
    model = [Evidence("sex", "age", "required path", "model", 0.95)]
    knowledge = combine(NAMES, person, model)
    assert knowledge.path[NAMES.index("bmi"), NAMES.index("age")] == 1
    assert knowledge.path[NAMES.index("hba1c"), NAMES.index("bmi")] == 1
    assert knowledge.path[NAMES.index("age"), NAMES.index("hba1c")] == -1
    assert knowledge.path[NAMES.index("sex"), NAMES.index("age")] == 1, "the surer of two wins, whoever it is"
    assert knowledge.path[NAMES.index("age"), NAMES.index("sex")] == -1
    assert len(knowledge.conflicts) == 2
    assert knowledge.conflicts[0].startswith("required path hba1c -> age (person, probability 0.80) was given up")


def test_unsure_claims_count_although_the_model_does_not(tmp_path: Path) -> None:
    person = loaded(tmp_path, "cause,effect,claim,probability\nage,bmi,required path,0.6\n")
    worthless = Reliability("model", 0.5, 0.4, 0.6, 0.0, 38)
    assert combine(NAMES, person, reliability=worthless).path[2, 0] == 1


def test_a_chain_through_a_variable_that_is_left_out_is_as_sure_as_its_weakest_link(tmp_path: Path) -> None:
    text = "cause,effect,claim,probability\nage,insulin,required path,0.9\ninsulin,hba1c,required path,0.7\n"
    [derived] = loaded(tmp_path, text, known=("insulin",))
    assert (derived.cause, derived.effect, derived.claim) == ("age", "hba1c", "required path")
    assert derived.probability == pytest.approx(0.7)
    assert derived.note == "follows from age -> insulin -> hba1c"
    unsure = text + "hba1c,age,required path,0.6\n"
    knowledge = combine(NAMES, loaded(tmp_path, unsure, known=("insulin",)))
    assert np.argwhere(knowledge.path == 1).tolist() == [[3, 0]]
