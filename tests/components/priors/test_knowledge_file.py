"""What a person writes down is read as meant, or refused in a sentence."""

from pathlib import Path

import numpy as np
import pytest

from components.errors import InputError
from components.priors import combine, load_knowledge

NAMES = ("age", "sex", "bmi", "hba1c")


def written(folder: Path, text: str) -> Path:
    path = folder / "knowledge.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def cells(path: Path, names: tuple[str, ...] = NAMES, known: tuple[str, ...] = ()) -> set[tuple[str, str, str]]:
    return {(claim.claim, claim.cause, claim.effect) for claim in load_knowledge(path, names, known)}


def test_every_key_is_read_as_meant(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        tiers: [[age], [bmi, hba1c]]
        exogenous: [sex]
        sinks: [hba1c]
        required: {paths: [[age, hba1c]], edges: [[bmi, hba1c]]}
        forbidden: {paths: [[sex, bmi]], edges: [[sex, hba1c]]}
        """,
    )
    assert cells(path) == {
        ("forbidden path", "bmi", "age"),
        ("forbidden path", "hba1c", "age"),
        ("forbidden path", "age", "sex"),
        ("forbidden path", "bmi", "sex"),
        ("forbidden path", "hba1c", "sex"),
        ("forbidden path", "hba1c", "bmi"),
        ("required path", "age", "hba1c"),
        ("required edge", "bmi", "hba1c"),
        ("forbidden path", "sex", "bmi"),
        ("forbidden edge", "sex", "hba1c"),
    }
    assert all(c.source == "person" and c.probability == 1 for c in load_knowledge(path, NAMES))
    knowledge = combine(NAMES, load_knowledge(path, NAMES))
    assert knowledge.path[3].tolist() == [1, -1, 1, -1]
    assert knowledge.edge[3].tolist() == [-1, 0, 1, -1]
    assert knowledge.path[1].tolist() == [0, -1, 0, 0]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "tiers:\n", "required: {paths: }\n", "exogenous: []\n"])
def test_an_empty_file_or_key_is_no_knowledge(tmp_path: Path, text: str) -> None:
    assert load_knowledge(written(tmp_path, text), NAMES) == ()


def test_variables_the_graph_leaves_out_may_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, "exogenous: [age]\nrequired: {paths: [[age, insulin], [insulin, hba1c]]}\n")
    with pytest.raises(InputError, match="insulin"):
        load_knowledge(path, NAMES)
    found = load_knowledge(path, NAMES, known=("insulin",))
    assert {name for claim in found for name in (claim.cause, claim.effect)} <= set(NAMES)
    through = [claim for claim in found if claim.claim == "required path"]
    assert [(claim.cause, claim.effect, claim.note) for claim in through] == [
        ("age", "hba1c", "follows from age -> insulin -> hba1c")
    ]


def test_a_contradiction_through_a_variable_that_is_left_out_is_found(tmp_path: Path) -> None:
    path = written(tmp_path, "required: {paths: [[bmi, insulin], [insulin, age]]}\nexogenous: [age]\n")
    with pytest.raises(InputError, match="insulin -> age is required but a path insulin -> age is forbidden"):
        load_knowledge(path, NAMES, known=("insulin",))


BAD = {
    "no yaml": ("tiers: [[age", "must be YAML"),
    "tab": ("tiers:\n\t- [age]", "must be YAML"),
    "a list": ("- age\n- bmi\n", "must hold the keys"),
    "a word": ("age", "must hold the keys"),
    "misspelt key": ("exogenus: [age]", "did you mean 'exogenous'"),
    "strange key": ("12: [age]", "keys of .* must be among tiers"),
    "misspelt kind": ("required: {path: [[age, bmi]]}", "did you mean 'paths'"),
    "kinds left out": ("required: [[age, bmi]]", "required must hold the keys paths, edges"),
    "key twice": ("sinks: [bmi]\nsinks: [hba1c]", "'sinks' twice"),
    "unknown name": ("exogenous: [agee]", "did you mean 'age'"),
    "far name": ("sinks: [zebra]", "the variables are age, sex, bmi, hba1c"),
    "unknown in a pair": ("required: {edges: [[age, hba1]]}", "required edges .*'hba1c'"),
    "no list": ("exogenous: age", "exogenous must be a list"),
    "flat tiers": ("tiers: [age, bmi]", "tier 1 must be a list"),
    "no tier": ("tiers: [[age], null]", "tier 2 must be a list"),
    "number as name": ("sinks: [3]", "put text in quotes"),
    "flag as name": ("sinks: [no]", "put text in quotes"),
    "three in a pair": ("required: {paths: [[age, bmi, hba1c]]}", r"pairs \[cause, effect\]"),
    "flat pair": ("required: {paths: [age, bmi]}", r"pairs \[cause, effect\]"),
    "self": ("forbidden: {edges: [[bmi, bmi]]}", "'bmi' causing itself"),
    "two tiers": ("tiers: [[age, bmi], [bmi]]", "'bmi' in tiers 1 and 2"),
    "two-cycle": ("required: {paths: [[age, bmi], [bmi, age]]}", "age -> bmi -> age is a cycle"),
    "long cycle": (
        "required: {paths: [[age, bmi], [hba1c, age]], edges: [[bmi, hba1c]]}",
        "age -> bmi -> hba1c -> age is a cycle",
    ),
    "both at once": (
        "required: {paths: [[age, bmi]]}\nforbidden: {paths: [[age, bmi]]}",
        "age -> bmi is required but a path age -> bmi is forbidden",
    ),
    "both edges": (
        "required: {edges: [[age, bmi]]}\nforbidden: {edges: [[age, bmi]]}",
        "edge age -> bmi is both required and forbidden",
    ),
    "through a chain": (
        "required: {paths: [[age, bmi], [bmi, hba1c]]}\nforbidden: {paths: [[age, hba1c]]}",
        "age -> bmi -> hba1c is required but a path age -> hba1c is forbidden",
    ),
    "against the tiers": ("tiers: [[age], [bmi]]\nrequired: {paths: [[bmi, age]]}", "bmi -> age is required but"),
    "tiers by a detour": (
        "tiers: [[age], [bmi]]\nrequired: {paths: [[bmi, sex], [sex, age]]}",
        "bmi -> sex -> age is required but a path bmi -> age is forbidden",
    ),
    "into the exogenous": ("exogenous: [sex]\nrequired: {edges: [[age, sex]]}", "edge age -> sex is both"),
    "out of a sink": ("sinks: [hba1c]\nrequired: {paths: [[hba1c, bmi]]}", "hba1c -> bmi is required but"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=list(BAD))
def test_a_bad_file_is_refused_in_a_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        load_knowledge(path, NAMES)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must exist, got .*absent\.yaml"):
        load_knowledge(tmp_path / "absent.yaml", NAMES)
    with pytest.raises(InputError, match="must be readable UTF-8 text"):
        load_knowledge(tmp_path, NAMES)
    (tmp_path / "bytes.yaml").write_bytes(np.arange(128, 256, dtype=np.uint8).tobytes())
    with pytest.raises(InputError, match="must be readable UTF-8 text"):
        load_knowledge(tmp_path / "bytes.yaml", NAMES)
