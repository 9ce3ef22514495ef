"""Remember every answer of a language model, so that nothing is asked twice, and replay what was recorded.

One JSON object a line, keyed by SHA-256 over the model's name, the wording, how the answer is drawn and which draw it
is. Lines are only ever added, each as soon as its answer is there: a run that is killed goes on where it stopped. The
same file is a transcript: :class:`Nobody` behind it answers nothing that is not there.
"""

import fcntl
import json
from hashlib import sha256
from pathlib import Path
from threading import Lock

from components.errors import InputError, OutsideError
from components.ports import Answer, Ask, Question


class Remembered:
    """Asks only what the file does not know yet. Any number of threads and processes may add to one file at once.

    Attributes:
        asked: Questions that went through to the one asked.
        recalled: Questions answered from the file.
    """

    def __init__(self, ask: Ask, path: Path) -> None:
        self._ask = ask
        self._path = path
        self._known = _load(path)
        self._used: dict[str, str] = {}
        self._lock = Lock()
        self._doors: dict[str, Lock] = {}
        self.asked = 0
        self.recalled = 0

    @property
    def model(self) -> str:
        """Name of who answers."""
        return self._ask.model

    def __call__(self, question: Question) -> Answer:
        """The remembered answer, or a new one that is remembered from now on.

        Raises:
            OutsideError: The one asked failed, which leaves no trace in the file, or the file cannot be written.
        """
        key = key_of(self.model, question)
        with self._lock:
            door = self._doors.setdefault(key, Lock())
        with door:  # two threads with one question ask it once
            known = key in self._known
            answer = self._known[key] if known else self._ask(question)
            line = _line(key, self.model, question, answer)
            with self._lock:
                self._used[key] = line
                self.recalled += known
                if not known:
                    self.asked += 1
                    self._known[key] = answer
                    _append(self._path, line)
        return answer

    def transcript(self) -> str:
        """Every question that was put here with its answer, as a file of answers in its own right."""
        return "".join(f"{line}\n" for line in self._used.values())


class Nobody:
    """Stands behind a transcript and answers nothing that is not in it.

    Attributes:
        model: Name of the model whose answers are wanted.
    """

    def __init__(self, model: str, path: Path) -> None:
        self.model = model
        self._path = path

    def __call__(self, question: Question) -> Answer:
        """Always an error.

        Raises:
            InputError: The question is not in the transcript.
        """
        wanted = " ".join(question.text.split())
        shown = wanted if len(wanted) <= 200 else f"{wanted[:100]} ... {wanted[-97:]}"
        raise InputError(
            f"the transcript {self._path} must hold every answer, but {self.model} was not asked (draw "
            f"{question.sample} at temperature {question.temperature:g}): {shown!r}; record it again with this "
            "configuration, or ask a language model"
        )


def recorded_model(path: Path, model: str = "") -> str:
    """The model whose answers a transcript holds; ``model`` chooses one where it holds several.

    Raises:
        InputError: The transcript is missing, holds no answer, none of ``model``, or those of several models.
    """
    if not path.is_file():
        raise InputError(f"the transcript must be a file of answers, there is none at {path}")
    lines = filter(None, map(_entry, _text(path).split("\n")))
    models = sorted({str(entry["model"]) for entry, _ in lines if "model" in entry})
    if model and model not in models:
        held = f"those of {', '.join(models)}" if models else "none"
        raise InputError(f"the transcript {path} must hold answers of {model!r}, it holds {held}")
    if not model and len(models) != 1:
        held = f"those of {', '.join(models)}; name one" if models else "none"
        raise InputError(f"the transcript {path} must hold the answers of one model, it holds {held}")
    return model or models[0]


def key_of(model: str, question: Question) -> str:
    """What an answer depends on, as a digest."""
    parts = [model, question.text, question.free, question.temperature, question.longest, question.sample]
    return sha256(json.dumps(parts).encode()).hexdigest()


def _line(key: str, model: str, question: Question, answer: Answer) -> str:
    asked = {name: value for name, value in vars(question).items() if name not in ("text", "subject")}
    entry = {"key": key, "model": model, "question": question.text, **asked, **vars(answer)}
    return json.dumps(entry, ensure_ascii=False)


def _load(path: Path) -> dict[str, Answer]:
    found = filter(None, map(_entry, _text(path).split("\n")))
    return {str(entry["key"]): answer for entry, answer in found}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise OutsideError(f"the answers in {path} cannot be read: {error.strerror}; give another file") from error


def _entry(line: str) -> tuple[dict[str, object], Answer] | None:
    """One line and the answer in it; None for a line that was torn when a run was killed."""
    try:
        entry = json.loads(line)
        answer = Answer(
            float(entry["yes"]),
            float(entry["no"]),
            str(entry["way"]),
            str(entry["text"]),
            int(entry["prompt_tokens"]),
            int(entry["answer_tokens"]),
        )
        whole = isinstance(entry["key"], str) and min(answer.yes, answer.no) >= 0
    except (ValueError, KeyError, TypeError):
        return None
    return (entry, answer) if whole else None


def _append(path: Path, line: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            torn = False
            if file.seek(0, 2):
                file.seek(-1, 2)
                # A torn last line must not swallow the one that follows it.
                torn = file.read(1) != b"\n"
            file.write((f"\n{line}\n" if torn else f"{line}\n").encode())
    except OSError as error:
        raise OutsideError(f"the answers in {path} cannot be written: {error.strerror}; free the disk") from error
