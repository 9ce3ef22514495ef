"""The account tells who said what, what is used of it, what was repaired and what was not asked."""

import numpy as np

from components.contracts import Evidence
from components.priors import account, combine
from components.priors.account import LONGEST

NAMES = ("age", "bmi", "hba1c")


def test_the_account_counts_every_source_and_names_what_was_given_up() -> None:
    person = [Evidence("bmi", "age", "required path", "person", 1.0, "stated")]
    model = [
        Evidence("hba1c", "bmi", "required path", "smith-7b", 0.97, "the model gives a path a probability of 0.970"),
        Evidence("age", "hba1c", "required path", "smith-7b", 0.96, "the model gives a path a probability of 0.960"),
    ]
    told = account(combine(NAMES, person, model), "smith-7b was tested.", ("path hba1c -> bmi: the budget was spent",))
    assert "smith-7b was tested." in told
    rows = [line for line in told.split("\n") if line.startswith("| ")]
    assert rows == [
        "| source | required paths | required edges | forbidden paths | forbidden edges |",
        "| person | 1 | 0 | 0 | 0 |",
        "| smith-7b | 2 | 0 | 0 | 0 |",
    ]
    assert "1 claim given up and now unknown:" in told
    assert "- required path hba1c -> age (smith-7b, probability 0.96) was given up" in told
    assert "- path hba1c -> bmi: the budget was spent" in told
    assert "- required path age → bmi: person, 1.00 (stated)" in told
    assert "Following from these: 1 claim more." in told


def test_nothing_known_is_told_as_nothing() -> None:
    told = account(combine(NAMES, ()), "No language model was asked.")
    assert "Nothing is claimed by anyone." in told
    assert "No claim had to be given up." in told
    assert "What was not asked" not in told


def test_a_long_account_is_cut_and_says_so() -> None:
    names = tuple(f"v{place}" for place in range(12))
    person = [
        Evidence(names[i], names[j], "required edge", "person", 1.0, "stated")
        for i, j in np.argwhere(np.tril(np.ones((12, 12)), -1)).tolist()
    ]
    told = account(combine(names, person), "")
    assert told.count("- required edge") == LONGEST
    assert f"- and {66 - LONGEST} more" in told
