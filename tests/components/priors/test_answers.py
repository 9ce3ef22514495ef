"""Nothing is asked twice, whatever happens in between."""

import fcntl
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Thread
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError, OutsideError
from components.ports import Answer, Question, Subject
from components.priors import Nobody, Remembered, recorded_model
from components.priors.answers import key_of

QUESTIONS = [Question(f"Does {cause} cause {effect}?") for cause in "abc" for effect in "xyz"]


class Counting:
    """Answers everything, differently each, until it dies of the question after the last of ``lives``."""

    def __init__(self, model: str = "one", lives: int = 1000) -> None:
        self.model = model
        self.heard: list[Question] = []
        self._lives = lives

    def __call__(self, question: Question) -> Answer:
        if len(self.heard) == self._lives:
            raise OutsideError("the model went away")
        self.heard.append(question)
        share = crc32(f"{self.model} {question.text}".encode()) / 2**32
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
        Remembered(Counting(lives=0), path)(Question("why?"))
    assert not path.exists()


def test_two_models_do_not_share_answers(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    first, second = Counting("one"), Counting("two")
    assert Remembered(first, path)(Question("why?")) != Remembered(second, path)(Question("why?"))
    assert first.heard == second.heard == [Question("why?")]
    assert Remembered(second, path).model == "two"


@given(text=st.text(max_size=40), yes=st.floats(0, 1), no=st.floats(0, 1), way=st.sampled_from(["logprobs", "samples"]))
def test_answers_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, text: str, yes: float, no: float, way: str
) -> None:
    class Fixed:
        model = "fixed"

        def __call__(self, question: Question) -> Answer:
            return Answer(yes, no, way)

    question = Question(text.encode(errors="replace").decode())
    path = tmp_path_factory.mktemp("answers") / "answers.jsonl"
    Remembered(Fixed(), path)(question)
    assert Remembered(Counting(lives=0), path).model == "one"
    assert Remembered(Fixed(), path)(question) == Answer(yes, no, way)
    assert json.loads(path.read_text(encoding="utf-8"))["question"] == question.text


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutsideError, match="cannot be read"):
        Remembered(Counting(), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutsideError, match=r"cannot be .*answers\.jsonl|answers\.jsonl cannot be"):
        Remembered(Counting(), tmp_path / "file" / "answers.jsonl")(Question("why?"))


def test_every_way_of_asking_has_an_answer_of_its_own(tmp_path: Path) -> None:
    plain = Question("why?")
    others = [
        replace(plain, sample=1),
        replace(plain, temperature=0.7),
        replace(plain, longest=9),
        replace(plain, free=True),
    ]
    assert len({key_of("one", question) for question in (plain, *others)}) == 5
    assert key_of("one", plain) != key_of("two", plain)
    assert key_of("one", plain) == key_of("one", replace(plain, subject=Subject("a", "b")))
    model = Counting()
    remembered = Remembered(model, tmp_path / "answers.jsonl")
    for question in (plain, *others, plain, *others):
        remembered(question)
    assert model.heard == [plain, *others]


def test_threads_with_the_same_questions_ask_each_once(tmp_path: Path) -> None:
    model, path = Counting(), tmp_path / "answers.jsonl"
    questions = [Question(f"Does {number} cause it?") for number in range(100)]
    remembered = Remembered(model, path)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(remembered, questions * 4))
    assert sorted(model.heard, key=str) == sorted(questions, key=str)
    assert (remembered.asked, remembered.recalled) == (100, 300)
    nobody = Remembered(Counting(lives=0), path)
    assert [nobody(question) for question in questions * 4] == answers


WRITER = """
import sys
from pathlib import Path
from components.ports import Answer, Question, Subject
from components.priors import Nobody, Remembered, recorded_model
from components.priors.answers import key_of

class Long:
    model = "one"
    def __call__(self, question):
        return Answer(0.25, 0.5, "logprobs", "x" * 20_000)

remembered = Remembered(Long(), Path(sys.argv[1]))
for number in range(60):
    remembered(Question(f"{sys.argv[2]} {number}"))
"""


def test_processes_that_write_to_one_file_do_not_tear_each_others_lines(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in ("a", "b", "c")]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    lines = path.read_text().splitlines()
    assert len(lines) == len({json.loads(line)["question"] for line in lines}) == 180
    nobody = Remembered(Counting(lives=0), path)
    assert nobody(Question("b 59")) == Answer(0.25, 0.5)
    assert len(nobody(Question("c 0")).text) == 20_000


def test_who_adds_a_line_waits_for_whoever_is_at_the_file(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    remembered = Remembered(Counting(), path)
    writing = Thread(target=remembered, args=(QUESTIONS[0],))
    with path.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        writing.start()
        writing.join(0.2)
        assert writing.is_alive()
        assert path.read_text() == ""
    writing.join(10)
    assert len(path.read_text().splitlines()) == 1


def test_a_transcript_holds_what_one_run_used_and_nothing_else(tmp_path: Path) -> None:
    path, transcript = tmp_path / "answers.jsonl", tmp_path / "transcript.jsonl"
    model = Counting()
    before = Remembered(model, path)
    [before(question) for question in QUESTIONS]
    run = Remembered(model, path)
    used = [*QUESTIONS[:3], Question("another?"), QUESTIONS[0]]
    answers = [run(question) for question in used]
    transcript.write_text(run.transcript(), encoding="utf-8")
    assert len(transcript.read_text().splitlines()) == 4
    replay = Remembered(Nobody(recorded_model(transcript), transcript), transcript)
    assert [replay(question) for question in used] == answers
    with pytest.raises(InputError, match=r"transcript\.jsonl must hold .* but one was not asked .*'Does b cause"):
        replay(QUESTIONS[5])
    assert replay.model == "one"


def test_a_transcript_that_cannot_be_replayed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with pytest.raises(InputError, match=r"there is none at .*answers\.jsonl"):
        recorded_model(path)
    path.write_text("no answers\n")
    with pytest.raises(InputError, match="must hold the answers of one model, it holds none"):
        recorded_model(path)
    with pytest.raises(InputError, match="must hold answers of 'one', it holds none"):
        recorded_model(path, "one")
    Remembered(Counting("one"), path)(QUESTIONS[0])
    Remembered(Counting("two"), path)(QUESTIONS[0])
    with pytest.raises(InputError, match="must hold the answers of one model, it holds those of one, two; name one"):
        recorded_model(path)
    with pytest.raises(InputError, match="must hold answers of 'three', it holds those of one, two"):
        recorded_model(path, "three")
    assert recorded_model(path, "two") == "two"
