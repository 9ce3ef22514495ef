"""A small CDC: files in the real format, written here, and a server of them that can be told to misbehave."""

import hashlib
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

# The files of all cycles with those of their variables that count here, as published.
PUBLISHED = """
DEMO DEMO_B DEMO_C DEMO_D DEMO_E DEMO_F DEMO_G DEMO_H DEMO_I DEMO_J DEMO_L | DMDEDUC2 INDFMPIR RIAGENDR RIDAGEYR RIDEXPRG RIDRETH1 RIDSTATR SDMVPSU SDMVSTRA WTMEC2YR
P_DEMO | DMDEDUC2 INDFMPIR RIAGENDR RIDAGEYR RIDEXPRG RIDRETH1 RIDSTATR SDMVPSU SDMVSTRA WTMECPRP
BMX BMX_B BMX_C BMX_D BMX_E BMX_F BMX_G BMX_H BMX_I BMX_J P_BMX BMX_L | BMXBMI BMXHT BMXWAIST BMXWT
BPX BPX_B BPX_C BPX_D BPX_E BPX_F BPX_G BPX_H BPX_I BPX_J | BPXDI1 BPXDI2 BPXDI3 BPXDI4 BPXPLS BPXSY1 BPXSY2 BPXSY3 BPXSY4
P_BPXO BPXO_L | BPXODI1 BPXODI2 BPXODI3 BPXOPLS1 BPXOPLS2 BPXOPLS3 BPXOSY1 BPXOSY2 BPXOSY3
LAB10 L10_B L10_C GHB_D GHB_E GHB_F GHB_G GHB_H GHB_I GHB_J P_GHB GHB_L | LBXGH
LAB10AM L10AM_B L10AM_C GLU_D GLU_E GLU_F GLU_G GLU_H GLU_I GLU_J GLU_L | LBXGLU WTSAF2YR
P_GLU | LBXGLU WTSAFPRP
LAB13 L13_B | LBDHDL LBXTC
L13_C | LBXHDD LBXTC
TCHOL_D TCHOL_E TCHOL_F TCHOL_G TCHOL_H TCHOL_I TCHOL_J P_TCHOL TCHOL_L | LBXTC
HDL_D HDL_E HDL_F HDL_G HDL_H HDL_I HDL_J P_HDL HDL_L | LBDHDD
LAB13AM L13AM_B L13AM_C TRIGLY_D TRIGLY_E TRIGLY_F TRIGLY_G TRIGLY_H TRIGLY_I TRIGLY_J | LBDLDL LBXTR WTSAF2YR
P_TRIGLY | LBDLDL LBXTR WTSAFPRP
LAB18 L40_C BIOPRO_D BIOPRO_E BIOPRO_F BIOPRO_G BIOPRO_H BIOPRO_I BIOPRO_J P_BIOPRO | LBXSAL LBXSATSI LBXSBU LBXSCR LBXSGL LBXSGTSI LBXSUA
L40_B | LBDSCR LBXSAL LBXSATSI LBXSBU LBXSGL LBXSGTSI LBXSUA
DIQ | DIQ010 DIQ040Q DIQ050 DIQ070
DIQ_B DIQ_C | DID040Q DIQ010 DIQ050 DIQ070
DIQ_D DIQ_E | DID040 DID070 DIQ010 DIQ050
DIQ_F DIQ_G DIQ_H DIQ_I DIQ_J P_DIQ DIQ_L | DID040 DIQ010 DIQ050 DIQ070
BPQ BPQ_B BPQ_C BPQ_D BPQ_E BPQ_F BPQ_G BPQ_H BPQ_I BPQ_J P_BPQ | BPQ020 BPQ050A BPQ080 BPQ100D
BPQ_L | BPQ020 BPQ080 BPQ101D BPQ150
SMQ SMQ_B SMQ_C SMQ_D SMQ_E SMQ_F SMQ_G SMQ_H SMQ_I SMQ_J P_SMQ SMQ_L | SMQ020 SMQ040
MCQ MCQ_B MCQ_C MCQ_D MCQ_E MCQ_F MCQ_G MCQ_H MCQ_I MCQ_J P_MCQ MCQ_L | MCQ160B MCQ160C MCQ160E MCQ160F
"""  # noqa: E501
LETTERS = {"1999-2000": "", "2017-2020": "P_", "2021-2023": "L"} | {
    f"{2001 + 2 * place}-{2002 + 2 * place}": letter for place, letter in enumerate("BCDEFGHIJ")
}


def published(cycle: str) -> dict[str, list[str]]:
    """The variables of each of the cycle's files."""
    lines = [line.split(" | ") for line in PUBLISHED.strip().splitlines()]
    every = {file: names.split() for files, names in lines for file in files.split()}
    letter = LETTERS[cycle]
    if letter == "P_":
        return {file: names for file, names in every.items() if file.startswith("P_")}
    ending = f"_{letter}" if letter else ""
    ours = [file for file in every if file.endswith(ending) and (ending or "_" not in file) and file[:2] != "P_"]
    return {file: every[file] for file in ours}


MISSING = {f".{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"} | {".", "._"}


def card(text: str) -> bytes:
    return text.encode().ljust(80)


def ibm(values: Sequence[float | str]) -> np.ndarray:
    """IBM floats as [values, 8] bytes; texts are SAS's missing codes, NaN is the plain one."""
    coded = {place: value for place, value in enumerate(values) if isinstance(value, str)}
    plain = np.array([np.nan if place in coded else float(value) for place, value in enumerate(values)])
    mantissa, two = np.frexp(np.abs(np.nan_to_num(plain)))
    sixteen = -(-two // 4)
    words = np.ldexp(mantissa, two - 4 * sixteen + 56).astype(">u8").view(np.uint8).reshape(-1, 8).copy()
    words[:, 0] = np.where(plain < 0, 128, 0) + sixteen + 64
    words[plain == 0] = 0
    words[np.isnan(plain)] = [ord("."), *bytes(7)]
    for place, code in coded.items():
        assert code in MISSING
        words[place, 0] = ord(code[-1])
    return words


def xpt(columns: Mapping[str, Sequence[float | str]], length: int = 8, texts: Sequence[str] = ()) -> bytes:
    """A SAS transport file of version 5; ``length`` bytes a number, and a column TEXT where there are texts."""
    head = [
        card("HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!000000000000000000000000000000"),
        card(f"{'SAS':8}{'SAS':8}{'SASLIB':8}{'6.06':8}{'bsd4.2':8}{'':24}13APR89:10:20:06"),
        card("13APR89:10:20:06"),
        card("HEADER RECORD*******MEMBER  HEADER RECORD!!!!!!!000000000000000001600000000140"),
        card("HEADER RECORD*******DSCRPTR HEADER RECORD!!!!!!!000000000000000000000000000000"),
        card(f"{'SAS':8}{'TABLE':8}{'SASDATA':8}{'6.06':8}{'bsd4.2':8}{'':24}13APR89:10:20:06"),
        card(f"{'13APR89:10:20:06':16}{'':16}{'a table':40}{'':8}"),
        card(f"HEADER RECORD*******NAMESTR HEADER RECORD!!!!!!!{len(columns) + bool(texts):010d}{'0' * 20}"),
    ]
    cells = {name: (1, ibm(values)[:, :length]) for name, values in columns.items()}
    if texts:
        cells["TEXT"] = (2, np.array([list(text.encode().ljust(12)) for text in texts], dtype=np.uint8))
    place, entries = 0, []
    for number, (name, (kind, of_column)) in enumerate(cells.items(), 1):
        size = of_column.shape[1]
        shorts = np.array([kind, 0, size, number], dtype=">i2").tobytes()
        named = name.encode().ljust(8) + b"label".ljust(40) + b" " * 8 + bytes(8) + b" " * 8 + bytes(4)
        entries.append((shorts + named + np.array([place], dtype=">i4").tobytes()).ljust(140, b"\0"))
        place += size
    listed = b"".join(entries)
    body = np.column_stack([of_column for _, of_column in cells.values()]).astype(np.uint8).tobytes()
    parts = [b"".join(head), listed.ljust(-(-len(listed) // 80) * 80)]
    parts.append(card("HEADER RECORD*******OBS     HEADER RECORD!!!!!!!000000000000000000000000000000"))
    parts.append(body.ljust(-(-len(body) // 80) * 80))
    return b"".join(parts)


@dataclass
class Asked:
    """One request, and what it got."""

    method: str
    path: str
    range: str
    status: int
    sent: int


@dataclass
class Cdc:
    """A server of files.

    A trick is what the next request for a file gets instead of it: a status (with headers); a page; ``("cut", n)`` for
    n bytes and no more; ``("stall", n)`` for n bytes and silence; ``("whole",)`` for the file whatever range is asked
    for; ``("elsewhere",)`` for another range; ``("some", n)`` for n bytes of the range that was asked for.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    tricks: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: defaultdict(list))
    asked: list[Asked] = field(default_factory=list)
    validators: bool = True
    busiest: int = 0
    busy: int = 0
    pause: float = 0.0
    stalled: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def got(self, name: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path.endswith(f"/{name}")]

    def sent(self, name: str) -> int:
        return sum(asked.sent for asked in self.got(name) if asked.status in (200, 206))


def handler_of(cdc: Cdc) -> type[BaseHTTPRequestHandler]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(200 if self.path in cdc.files else 404, {"Content-Length": "0"}, b"")

        def do_GET(self) -> None:
            with lock:
                cdc.busy += 1
                cdc.busiest = max(cdc.busiest, cdc.busy)
                trick = cdc.tricks[self.path].pop(0) if cdc.tricks[self.path] else ()
            threading.Event().wait(cdc.pause)
            try:
                self._get(trick)
            finally:
                with lock:
                    cdc.busy -= 1

        def _get(self, trick: tuple[Any, ...]) -> None:
            content = cdc.files.get(self.path)
            kind = trick[0] if trick else None
            if isinstance(kind, int):
                self._answer(kind, dict(trick[1]) if len(trick) > 1 else {}, b"")
            elif kind == "page":
                page = b"<!DOCTYPE html>\r\n<html><head><title>Page Not Found</title></head></html>"
                self._answer(200, {"Content-Type": "text/html"}, page)
            elif content is None:
                self._answer(404, {}, b"")
            elif kind == "elsewhere":
                odd = {"Content-Range": f"bytes 1-{len(content) - 1}/{len(content)}"}
                self._answer(206, odd, content[1:])
            else:
                self._file(content, trick)

        def _file(self, content: bytes, trick: tuple[Any, ...]) -> None:
            tag = f'"{hashlib.md5(content).hexdigest()}"'
            headers = {"ETag": tag, "Last-Modified": formatdate(0, usegmt=True)} if cdc.validators else {}
            if cdc.validators and self.headers.get("If-None-Match") == tag:
                self._answer(304, headers, b"")
                return
            start, status = 0, 200
            same = self.headers.get("If-Range") in (tag, None)
            if self.headers.get("Range") and same and trick[:1] != ("whole",):
                start, status = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")), 206
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                if trick[:1] == ("some",):
                    content = content[: start + trick[1]]
            cut = trick[1] if trick[:1] in (("cut",), ("stall",)) else None
            self._answer(status, headers, content[start:], cut, stalls=trick[:1] == ("stall",))

        def _answer(
            self, status: int, headers: Mapping[str, str], body: bytes, cut: int | None = None, stalls: bool = False
        ) -> None:
            sent = body if cut is None else body[:cut]
            with lock:
                cdc.asked.append(Asked(self.command, self.path, self.headers.get("Range", ""), status, len(sent)))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                if status != 304 or name != "Content-Length":
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent)
            self.wfile.flush()
            if stalls:
                cdc.stalled.set()
                cdc.ended.wait(30)
            if cut is not None:
                self.close_connection = True

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what some tests are about."""


@pytest.fixture
def cdc() -> Iterator[Cdc]:
    served = Cdc()
    server = Server(("127.0.0.1", 0), handler_of(served))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield served
    finally:
        served.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def survey(people: Mapping[str, Sequence[Mapping[str, float | str]]]) -> dict[str, bytes]:
    """All files of the cycles that ``people`` are from, by the place where the CDC has them.

    A person says the values of variables by their names; what they do not say is missing.
    """
    found = {}
    for cycle, persons in people.items():
        for file, names in published(cycle).items():
            columns = {name: [person.get(name, np.nan) for person in persons] for name in ("SEQN", *names)}
            found[f"/{cycle[:4]}/DataFiles/{file}.xpt"] = xpt(columns)
    return found


def person(number: int, **values: float | str) -> dict[str, float | str]:
    """An examined adult with what every person has; the rest is as said."""
    always = {"RIDSTATR": 2, "RIDAGEYR": 40, "RIAGENDR": 1, "RIDRETH1": 3, "SDMVPSU": 1, "SDMVSTRA": 7}
    weights = {"WTMEC2YR": 1000.04, "WTMECPRP": 1000.04}
    return {"SEQN": number, **always, **weights, **values}


@pytest.fixture
def make() -> SimpleNamespace:
    """What writes files in the real format."""
    return SimpleNamespace(ibm=ibm, xpt=xpt, survey=survey, person=person, published=published, cycles=tuple(LETTERS))
