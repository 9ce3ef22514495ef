"""Download files so that nothing is fetched twice: what came before a connection broke is kept and gone on from.

A file grows as ``NAME.part``; beside it ``NAME.part.json`` keeps by what the server calls its content (ETag or date),
and only that same content is continued (``Range`` with ``If-Range``). A whole file of the size the server said, which
is a table, gets its record and then its name, in one move.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from secrets import SystemRandom
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from components.errors import OutsideError
from components.ingestion.cdc.part import Part, PassingError
from components.ingestion.cdc.shelf import (
    Record,
    Wanted,
    check_table,
    place_of,
    record_of,
    sha256,
    verified,
    write_record,
)
from components.ingestion.reasons import reason

if TYPE_CHECKING:
    import httpx

LIST = "missing.txt"
_TAKEN = (200, 206, 416)
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_LONGEST = 60.0
_JITTER = SystemRandom()


@dataclass(frozen=True)
class Manners:
    """How a server is asked.

    Attributes:
        connections: Files asked for at the same time.
        attempts: Times in a row that a file is asked for without a byte coming, before giving up.
        pause: Seconds before the second attempt; each further pause is twice as long, up to a minute, and shortened by
            chance so that many clients do not come back at once. A server that says how long to wait is obeyed.
        timeout: Seconds without a sign from the server.
    """

    connections: int = 4
    attempts: int = 6
    pause: float = 1.0
    timeout: float = 30.0


class _StoppedError(Exception):
    """Another file has failed, or a person has stopped the run."""


def fetch(
    wanted: Sequence[Wanted], folder: Path, manners: Manners, refresh: bool, done: Callable[[int, Record], None]
) -> list[Record]:
    """Bring the files that are not in ``folder`` yet, check those that are, and give the records of all in order.

    Arguments:
        wanted: The files.
        folder: Where they are kept.
        manners: How the server is asked.
        refresh: Ask the server about the files that are there too, and replace those that it has changed.
        done: Hears of each file as it is done: how many are by then, and its record.

    Raises:
        OutsideError: The server is out of reach or does not have a file, a file is no table or no longer what it was,
            or the disk does not take it. What has come stays for the next time.
    """
    stop = threading.Event()
    with _client(manners) as client, ThreadPoolExecutor(manners.connections) as pool:
        session = _Session(client, folder, manners, refresh, stop)
        jobs = [pool.submit(session.bring, file) for file in wanted]
        try:
            for count, job in enumerate(as_completed(jobs), 1):
                done(count, job.result())
        except BaseException:
            stop.set()
            for job in jobs:
                job.cancel()
            raise
    return [job.result() for job in jobs]


def reach(wanted: Wanted, folder: Path) -> None:
    """See whether there is a way to the server; whether it answers well is seen when files are asked for.

    Raises:
        OutsideError: There is none.
    """
    import httpx

    with _client(Manners()) as client, suppress(httpx.HTTPError):
        try:
            client.head(wanted.url)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as problem:
            raise _out_of_reach(wanted, folder, problem) from problem


def missing(wanted: Sequence[Wanted], folder: Path) -> list[Wanted]:
    """Those that are not in ``folder``."""
    return [file for file in wanted if not place_of(folder, file.name).is_file()]


@contextmanager
def listing(wanted: Sequence[Wanted], folder: Path) -> Iterator[None]:
    """Where the files cannot be had in this block, leave the addresses of the missing ones there for a person."""
    try:
        yield
    except OutsideError:
        with suppress(OSError):  # the first trouble is the one to hear of
            (folder / LIST).write_text("".join(f"{file.url}\n" for file in missing(wanted, folder)), encoding="utf-8")
        raise
    (folder / LIST).unlink(missing_ok=True)


@contextmanager
def _client(manners: Manners) -> Iterator["httpx.Client"]:
    import httpx

    # Ranges count bytes as they are sent, so they must be sent as they are.
    headers = {"User-Agent": "kintsugi (reads public-use files)", "Accept-Encoding": "identity"}
    with httpx.Client(headers=headers, timeout=manners.timeout, follow_redirects=True) as client:
        yield client


@dataclass(frozen=True)
class _Session:
    client: "httpx.Client"
    folder: Path
    manners: Manners
    refresh: bool
    stop: threading.Event

    def bring(self, wanted: Wanted) -> Record:
        path = place_of(self.folder, wanted.name)
        try:
            known = verified(path, wanted) if path.is_file() else None
            return known if known and not self.refresh else self._patiently(wanted, path, known)
        except OSError as problem:
            raise OutsideError(f"{path} cannot be read or written: {problem.strerror or problem}") from problem

    def _patiently(self, wanted: Wanted, path: Path, known: Record | None) -> Record:
        part, failures = Part(path), 0
        while True:
            before = part.bytes
            try:
                came = self._read(wanted, part, known)
                return _settled(wanted, path, part, self.refresh) if came or known is None else known
            except PassingError as problem:
                failures = 1 if part.bytes > before else failures + 1
                if failures >= self.manners.attempts:
                    raise _out_of_reach(wanted, self.folder, problem) from problem
                longest = min(_LONGEST, self.manners.pause * 2 ** (failures - 1))
                if self.stop.wait(max(problem.wait, longest * _JITTER.uniform(0.5, 1.0))):
                    raise _StoppedError from problem

    def _read(self, wanted: Wanted, part: Part, known: Record | None) -> bool:
        """Read the file to its end; False where the server says that it is still the known one."""
        import httpx

        if part.whole and part.said("url") == wanted.url:
            return True
        asked = part.continuing(wanted.url) or _if_changed(known)
        try:
            with self.client.stream("GET", wanted.url, headers=asked) as response:
                if response.status_code == httpx.codes.NOT_MODIFIED:
                    return False
                _check(response, wanted, self.folder)
                part.open(response, wanted.url)
                with part.path.open("ab") as sink:
                    for some in response.iter_bytes():
                        sink.write(some)
                        if self.stop.is_set():
                            raise _StoppedError
        except httpx.HTTPError as problem:
            raise PassingError(reason(problem)) from problem
        if part.size is not None and not part.whole:
            raise PassingError(f"the connection ended after {part.bytes:,} of {part.size:,} bytes")
        return True


def _if_changed(known: Record | None) -> dict[str, str]:
    pairs = (("If-None-Match", known.etag), ("If-Modified-Since", known.modified)) if known else ()
    return {name: value for name, value in pairs if value}


def _check(response: "httpx.Response", wanted: Wanted, folder: Path) -> None:
    status = response.status_code
    if status in _PASSING:
        raise PassingError(f"it answers {status}", _wait(response.headers.get("retry-after", "")))
    if status not in _TAKEN:
        raise OutsideError(
            f"{urlsplit(wanted.url).netloc} does not have {wanted}: it answers {status} for {wanted.url}; "
            f"if the CDC has moved its files, set source.base_url, or {_by_hand(folder)}"
        )


def _wait(said: str) -> float:
    """Seconds that the server asks to wait, at most two minutes."""
    if said.strip().isdigit():
        return min(float(said), 2 * _LONGEST)
    try:
        moment = parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    return min(max(moment.timestamp() - time.time(), 0.0), 2 * _LONGEST)


def _out_of_reach(wanted: Wanted, folder: Path, problem: Exception) -> OutsideError:
    return OutsideError(
        f"cannot reach {urlsplit(wanted.url).netloc} for {wanted} ({reason(problem)}); run again when it can be "
        f"reached, which goes on where this stopped, or {_by_hand(folder)}"
    )


def _by_hand(folder: Path) -> str:
    return f"download the files listed in {folder / LIST} into {folder}"


def _settled(wanted: Wanted, path: Path, part: Part, refresh: bool) -> Record:
    try:
        check_table(part.path, wanted, wanted.url)
    except OutsideError:
        part.drop()
        raise
    digest, known = sha256(part.path), record_of(path)
    changed = known is not None and known.sha256 != digest
    if known and changed and not refresh:
        part.drop()
        raise OutsideError(
            f"the server has replaced {wanted} since it was first downloaded (SHA-256 {known.sha256[:12]} then, "
            f"{digest[:12]} now); to take what it has now, set source.refresh: true or delete {path.name}.json"
        )
    replaced = (known.sha256 if changed else known.replaced) if known else ""
    record = Record(digest, part.bytes, wanted.url, part.said("etag"), part.said("modified"), replaced)
    write_record(path, record)
    part.path.replace(path)
    part.drop()
    return record
