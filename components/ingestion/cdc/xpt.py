"""Tables in the SAS transport format, version 5, as the CDC publishes them.

``pandas.read_sas`` reads the format too, but turns zero into 5.4e-79, reads all columns of a wide table, and takes a
file that was cut short without a word. A number is an IBM float: a sign bit, seven bits of exponent e and 56 bits of
fraction f, whose value is f / 2**56 * 16**(e - 64). A missing value has no fraction, and ``.``, ``_`` or ``A`` to
``Z`` in its first byte; the letters tell kinds of missing apart, which nobody asks for here.

SAS Institute, TS-140, The Record Layout of a Data Set in SAS Transport (XPORT) Format.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_CARD = 80
_START = b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!"
_MEMBER = b"HEADER RECORD*******MEMBER  HEADER RECORD!!!!!!!"
_NAMES = b"HEADER RECORD*******NAMESTR HEADER RECORD!!!!!!!"
_ROWS = b"HEADER RECORD*******OBS     HEADER RECORD!!!!!!!"
_BLANK = 0x20
_NUMBER, _LONGEST = 1, 8
_SHORTEST_ENTRY = 88
_FRACTION = np.uint64(2**56 - 1)
_MISSING = np.frombuffer(b"._ABCDEFGHIJKLMNOPQRSTUVWXYZ", dtype=np.uint8)
# 2**-260 is what is left of zero after other programs have read and written it.
_SMALLEST = 1e-70


class NotATable(ValueError):  # noqa: N818 - it names what the bytes are not
    """The bytes are no whole table in this format; the message completes "it ..."."""


@dataclass(frozen=True)
class Field:
    """Where a column lies in each row.

    Attributes:
        name: Its name, in capitals.
        number: Whether it holds numbers, and not text.
        start: Its first byte.
        length: Its bytes; numbers may have fewer than eight, the last ones of the fraction being left out.
    """

    name: str
    number: bool
    start: int
    length: int


def read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The numeric columns called ``columns``, missing values as NaN.

    Raises:
        NotATable: The file is none, is cut short, or has no such column of numbers.
    """
    content = path.read_bytes()
    fields, start = _layout(content)
    rows = _rows(content, fields, start)
    found = {field.name: field for field in fields if field.number}
    absent = [name for name in columns if name not in found]
    if absent:
        raise NotATable(f"has no column of numbers called {absent[0]}")
    return pd.DataFrame({name: _numbers(rows, found[name]) for name in columns})


def names(path: Path) -> list[str]:
    """The names of all columns; the whole file is looked at, so that one that is cut short is found out.

    Raises:
        NotATable: The file is no whole table.
    """
    content = path.read_bytes()
    fields, start = _layout(content)
    _rows(content, fields, start)
    return [field.name for field in fields]


def decoded(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """IBM floats, as unsigned integers, to numbers; missing values become NaN."""
    fraction = words & _FRACTION
    first = (words >> np.uint64(56)).astype(np.uint8)
    exponent = (first & 0x7F).astype(np.int64) - 64
    values = np.ldexp(fraction.astype(np.float64), (4 * exponent - 56).astype(np.int32))
    values = np.where(first & 0x80, -values, values)
    values = np.where(np.abs(values) < _SMALLEST, 0.0, values)
    return np.asarray(np.where((fraction == 0) & np.isin(first, _MISSING), np.nan, values), dtype=np.float64)


def _layout(content: bytes) -> tuple[list[Field], int]:
    """The columns, and the byte at which the rows begin."""
    if not content.startswith(_START):
        raise NotATable("does not begin as a SAS transport file of version 5 does")
    cards = [content[place : place + _CARD] for place in range(0, 8 * _CARD, _CARD)]
    if not (cards[3].startswith(_MEMBER) and cards[7].startswith(_NAMES)):
        raise NotATable("has no readable header")
    try:
        size, count = int(cards[3][74:78]), int(cards[7][54:58])
    except ValueError:
        raise NotATable("has no readable header") from None
    if size < _SHORTEST_ENTRY or count < 1:
        raise NotATable("has no readable header")
    start = 8 * _CARD
    end = start + -(-size * count // _CARD) * _CARD
    if not content[end:].startswith(_ROWS) or len(content) <= end + _CARD:
        raise NotATable("is cut short or damaged: no rows follow its list of columns")
    fields = [_field(content[place : place + size]) for place in range(start, start + size * count, size)]
    width = sum(field.length for field in fields)
    if not all(field.length > 0 and 0 <= field.start <= width - field.length for field in fields):
        raise NotATable("is damaged: its columns do not fit into its rows")
    return fields, end + _CARD


def _field(entry: bytes) -> Field:
    kind, _, length, _, name = struct.unpack_from(">hhhh8s", entry)
    (start,) = struct.unpack_from(">l", entry, 84)
    number = kind == _NUMBER and length <= _LONGEST
    return Field(name.decode("ascii", "replace").strip().upper(), number, start, length)


def _rows(content: bytes, fields: Sequence[Field], start: int) -> NDArray[np.uint8]:
    """The rows as bytes, [rows, width].

    The format does not say how many there are: they fill the file to its end, and blanks fill its last 80 bytes.
    """
    width = sum(field.length for field in fields)
    data = np.frombuffer(content, dtype=np.uint8)[start:]
    count = len(data) // width
    rest = data[count * width :]
    if len(rest) >= _CARD or (rest != _BLANK).any():
        raise NotATable("is cut short: its last row is not whole")
    rows = data[: count * width].reshape(count, width)
    # Where rows are short, the blanks at the end can look like rows.
    while count and (len(data) - (count - 1) * width) < _CARD and (rows[count - 1] == _BLANK).all():
        count -= 1
    return rows[:count]


def _numbers(rows: NDArray[np.uint8], field: Field) -> NDArray[np.float64]:
    padded = np.zeros((len(rows), 8), dtype=np.uint8)
    padded[:, : field.length] = rows[:, field.start : field.start + field.length]
    return decoded(padded.view(">u8").reshape(len(rows)).astype(np.uint64))
