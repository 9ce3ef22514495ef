"""Remember every answer of a language model, so that nothing is asked twice.

One JSON object a line, keyed by SHA-256 over the model's name and the question. Lines are only ever added, each
as soon as its answer is there: a run that is killed goes on where it stopped.
"""

import json
from hashlib import sha256
from pathlib import Path

from components.errors import OutsideError
from components.ports import Answer, Ask


class Remembered:
    """Asks only what the file does not know yet. One process writes to a file at a time.

    Attributes:
        asked: Questions that went through to the one asked.
        recalled: Questions answered from the file.
    """

    def __init__(self, ask: Ask, path: Path) -> None:
        self._ask = ask
        self._path = path
        self._known = _load(path)
        self.asked = 0
        self.recalled = 0

    @property
    def model(self) -> str:
        """Name of who answers."""
        return self._ask.model

    def __call__(self, question: str) -> Answer:
        """The remembered answer, or a new one that is remembered from now on.

        Raises:
            OutsideError: The one asked failed, which leaves no trace in the file, or the file cannot be written.
        """
        key = sha256(f"{self.model}\n{question}".encode()).hexdigest()
        if key in self._known:
            self.recalled += 1
            return self._known[key]
        answer = self._ask(question)
        self.asked += 1
        _append(self._path, {"key": key, "model": self.model, "question": question, **vars(answer)})
        self._known[key] = answer
        return answer


def _load(path: Path) -> dict[str, Answer]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise OutsideError(f"the answers in {path} cannot be read: {error.strerror}; give another file") from error
    return dict(filter(None, map(_parsed, text.split("\n"))))


def _parsed(line: str) -> tuple[str, Answer] | None:
    """Key and answer of one line; None for a line that was torn when a run was killed."""
    try:
        entry = json.loads(line)
        answer = Answer(float(entry["yes"]), float(entry["no"]), str(entry["way"]))
        key = str(entry["key"])
    except (ValueError, KeyError, TypeError):
        return None
    return (key, answer) if answer.yes >= 0 and answer.no >= 0 else None


def _append(path: Path, entry: dict[str, object]) -> None:
    line = json.dumps(entry, ensure_ascii=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            if file.tell():
                file.seek(-1, 2)
                # A torn last line must not swallow the one that follows it.
                if file.read(1) != b"\n":
                    line = f"\n{line}"
            file.write(f"{line}\n".encode())
    except OSError as error:
        raise OutsideError(f"the answers in {path} cannot be written: {error.strerror}; free the disk") from error
