"""Nothing is asked twice, whatever happens in between."""

import json
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import OutsideError
from components.ports import Answer
from components.priors import Remembered

QUESTIONS = [f"Does {cause} cause {effect}?" for cause in "abc" for effect in "xyz"]


class Counting:
    """Answers everything, differently each, until it dies of the question after the last of ``lives``."""

    def __init__(self, model: str = "one", lives: int = 1000) -> None:
        self.model = model
        self.heard: list[str] = []
        self._lives = lives

    def __call__(self, question: str) -> Answer:
        if len(self.heard) == self._lives:
            raise OutsideError("the model went away")
        self.heard.append(question)
        share = crc32(f"{self.model} {question}".encode()) / 2**32
        return Answer(share, 1 - share, "logprobs")


def test_each_question_goes_out_once(tmp_path: Path) -> None:
    model = Counting()
    remembered = Remembered(model, tmp_path / "answers.jsonl")
    first = [remembered(question) for question in QUESTIONS]
    assert [remembered(question) for question in QUESTIONS] == first
    again = Remembered(model, tmp_path / "answers.jsonl")
    assert [again(question) for question in QUESTIONS] == first
    assert model.heard == QUESTIONS
    assert (remembered.asked, remembered.recalled, again.asked, again.recalled) == (9, 9, 0, 9)


@pytest.mark.parametrize("lives", [0, 1, 4, 8])
@pytest.mark.parametrize("torn", [b"", b'{"key": "0123', b'{"key": 1', b"\xff\xfe", b"{}\n{"])
def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path, lives: int, torn: bytes) -> None:
    path = tmp_path / "deep" / "answers.jsonl"
    dying = Counting(lives=lives)
    with pytest.raises(OutsideError, match="went away"):
        [Remembered(dying, path)(question) for question in QUESTIONS]
    if path.exists():
        path.write_bytes(path.read_bytes() + torn)
    patient = Counting()
    resumed = Remembered(patient, path)
    answers = [resumed(question) for question in QUESTIONS]
    assert patient.heard == QUESTIONS[lives:]
    nobody = Counting(lives=0)
    assert [Remembered(nobody, path)(question) for question in QUESTIONS] == answers


def test_a_failure_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with pytest.raises(OutsideError):
        Remembered(Counting(lives=0), path)("why?")
    assert not path.exists()


def test_two_models_do_not_share_answers(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    first, second = Counting("one"), Counting("two")
    assert Remembered(first, path)("why?") != Remembered(second, path)("why?")
    assert first.heard == second.heard == ["why?"]
    assert Remembered(second, path).model == "two"


@given(
    question=st.text(max_size=40), yes=st.floats(0, 1), no=st.floats(0, 1), way=st.sampled_from(["logprobs", "samples"])
)
def test_answers_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, question: str, yes: float, no: float, way: str
) -> None:
    class Fixed:
        model = "fixed"

        def __call__(self, question: str) -> Answer:
            return Answer(yes, no, way)

    question = question.encode(errors="replace").decode()
    path = tmp_path_factory.mktemp("answers") / "answers.jsonl"
    Remembered(Fixed(), path)(question)
    assert Remembered(Counting(lives=0), path).model == "one"
    assert Remembered(Fixed(), path)(question) == Answer(yes, no, way)
    assert json.loads(path.read_text(encoding="utf-8"))["question"] == question


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutsideError, match="cannot be read"):
        Remembered(Counting(), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutsideError, match=r"cannot be .*answers\.jsonl|answers\.jsonl cannot be"):
        Remembered(Counting(), tmp_path / "file" / "answers.jsonl")("why?")
