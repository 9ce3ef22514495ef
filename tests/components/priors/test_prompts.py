"""Every pattern shows its own fields, and nothing of another's."""

import re
from dataclasses import replace
from itertools import permutations

import pytest

from components.contracts import Column
from components.priors.prompts import Frame, asked
from components.priors.survey_words import SurveyWords
from tests.components.priors.worlds import columns, survey

NAMES = ("wind", "waves", "foam", "salt")
SUPPORTS, WEIGHTS = ("0.91", "0.64", "0.07"), ("0.44", "-0.22")
WORDS = {
    "edges": ("->", "321", "direct lingam"),
    "frequency": ("frequency", "resample", "55", *SUPPORTS),
    "coefficient": ("coefficient", *WEIGHTS),
}
SHOWN = {
    0: (),
    1: ("edges",),
    2: ("edges", "frequency"),
    3: ("edges", "coefficient"),
    4: ("edges", "frequency", "coefficient"),
}
THEME, ABOUT = "waves on a beach", "one buoy, ten years"


def frame(pattern: int) -> Frame:
    words = SurveyWords(survey(NAMES), pattern) if pattern else None
    return Frame(tuple(columns(NAMES)), THEME, ABOUT, words)


@pytest.mark.parametrize("pattern", range(5))
def test_a_pattern_shows_its_own_fields_and_no_others(pattern: int) -> None:
    texts = [frame(pattern).explain(cause, effect, "edge") for cause, effect in permutations(NAMES, 2)]
    for text in texts:
        assert THEME in text
        assert ABOUT in text
        for column in columns(NAMES):
            assert f"- {column.name}: {column.description.rstrip('.')} [units]" in text
        for field, words in WORDS.items():
            for word in words:
                assert (word in text) == (field in SHOWN[pattern]), (field, word)


@pytest.mark.parametrize("pattern", [1, 2, 3, 4])
def test_every_edge_is_listed_with_the_numbers_of_the_pattern(pattern: int) -> None:
    listed = SurveyWords(survey(), pattern).listing().split("\n")[1:]
    numbers = {
        "wind -> waves": ("frequency 0.91", "coefficient 0.44"),
        "waves -> foam": ("frequency 0.64", "coefficient -0.22"),
        "foam -> wind": ("frequency 0.07", "coefficient 0"),
        "waves -- salt: adjacent, direction open": ("frequency 0.58", ""),
        "wind <-> salt: held to share a hidden cause": ("frequency 0.36", ""),
    }
    expected = []
    for edge, (frequency, coefficient) in numbers.items():
        if edge == "foam -> wind" and pattern not in (2, 4):
            continue  # found in resamples only
        told = [frequency] * (pattern in (2, 4)) + [coefficient] * (pattern in (3, 4) and bool(coefficient))
        expected.append(f"- {edge}{(', ' if ':' in edge else ': ') if told else ''}{', '.join(told)}")
    assert sorted(listed) == sorted(expected)


STATEMENTS = {
    (1, "wind", "waves"): "The result holds the edge wind -> waves.",
    (1, "waves", "wind"): "The result holds no edge waves -> wind.",
    (1, "waves", "salt"): "In the result salt and waves are adjacent, direction open.",
    (1, "salt", "waves"): "In the result salt and waves are adjacent, direction open.",
    (1, "salt", "wind"): "In the result salt and wind are held to share a hidden cause.",
    (2, "wind", "waves"): "The result holds the edge wind -> waves. The frequency of wind -> waves is 0.91.",
    (2, "foam", "wind"): "The result holds no edge foam -> wind. The frequency of foam -> wind is 0.07.",
    (2, "foam", "salt"): "The result holds no edge foam -> salt. The frequency of foam -> salt is 0.00.",
    (2, "salt", "waves"): "In the result salt and waves are adjacent, direction open, frequency 0.58. "
    "The frequency of salt -> waves is 0.00.",
    (3, "wind", "waves"): "The result holds the edge wind -> waves. The coefficient of wind -> waves is 0.44.",
    (3, "foam", "wind"): "The result holds no edge foam -> wind.",
    (4, "waves", "foam"): "The result holds the edge waves -> foam. The frequency of waves -> foam is 0.64. "
    "The coefficient of waves -> foam is -0.22.",
    (4, "foam", "wind"): "The result holds no edge foam -> wind. The frequency of foam -> wind is 0.07. "
    "The coefficient of foam -> wind is 0.",
}


@pytest.mark.parametrize(("case", "said"), STATEMENTS.items(), ids=[" ".join(map(str, case)) for case in STATEMENTS])
def test_the_statement_is_about_the_pair(case: tuple[int, str, str], said: str) -> None:
    pattern, cause, effect = case
    assert SurveyWords(survey(), pattern).statement(cause, effect) == said
    assert said in frame(pattern).explain(cause, effect, "path")


def test_a_variable_that_the_survey_left_out_is_told() -> None:
    words = SurveyWords(survey(), 4)
    said = words.statement("rain", "foam")
    assert "left rain out" in said
    text = Frame((Column("rain"), Column("foam")), survey=words).explain("rain", "foam", "path")
    assert said in text


def test_a_survey_without_edges_says_so() -> None:
    found = survey()
    empty = replace(found, weights=0 * found.weights, undirected=(), confounded=())
    assert SurveyWords(empty, 1).listing().split("\n")[1:] == ["- no edge at all"]


@pytest.mark.parametrize("pattern", range(5))
@pytest.mark.parametrize("kind", ["path", "edge"])
def test_the_second_prompt_quotes_the_first_and_its_answer(pattern: int, kind: str) -> None:
    first = frame(pattern).explain("wind", "waves", kind)  # type: ignore[arg-type]
    second = frame(pattern).decide((first, " It does {so}.\n"), "wind", "waves", kind)  # type: ignore[arg-type]
    assert first in second
    assert "\nIt does {so}.\n" in second
    assert second.endswith("Answer with one word only, yes or no.")


def test_a_path_and_an_edge_are_asked_for_in_different_words() -> None:
    path, edge = asked("wind", "foam", "path"), asked("wind", "foam", "edge")
    assert "directly or by way of other variables" in path
    assert "directly, and not only by way of" in edge
    assert path.index("wind") < path.index("foam")


def test_the_orders_swap_the_options_and_the_pair() -> None:
    whole = frame(0)
    first = whole.explain("wind", "waves", "path", effect_first=True)
    question = first[first.index("Question:") :]
    assert question.index("waves") < question.index("wind")
    assert whole.decide((first, "so"), "wind", "waves", "path", no_first=True).endswith("one word only, no or yes.")


@pytest.mark.parametrize("pattern", range(5))
def test_neutral_names_leave_nothing_to_remember(pattern: int) -> None:
    renamed = frame(pattern).renamed()
    assert [column.name for column in renamed.columns] == ["V1", "V2", "V3", "V4"]
    told = renamed.explain("V1", "V2", "path")
    for word in (*NAMES, THEME, ABOUT, "called", "units"):
        assert not re.search(rf"\b{word}\b", told), word
    numbers = [*SUPPORTS] * (pattern in (2, 4)) + [*WEIGHTS] * (pattern in (3, 4))
    assert all(number in told for number in numbers)
    if pattern:
        assert "V1 -> V2" in told
        assert "V2 -- V4" in told
        assert "V1 <-> V4" in told


def test_variables_that_only_the_survey_knows_are_renamed_too() -> None:
    words = SurveyWords(survey(), 1)
    renamed = Frame((Column("waves"), Column("foam")), survey=words).renamed()
    assert "V3 -> V1" in renamed.explain("V1", "V2", "path")
