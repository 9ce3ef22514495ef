"""Numbers that follow from content alone: the digest of a table, and the part that a row falls into.

A table's digest is made from the sum over its rows of a 64-bit hash of each row, so neither the order of the rows nor
how the table was cut into pieces matters, and pieces can be hashed apart.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.contracts import PART
from components.sampling import WordArray, mixed

_FIT, _TUNE = 0.60, 0.15
_ABSENT = "\x00absent"


@dataclass(frozen=True)
class Fingerprint:
    """Sums over rows, modulo 2**64; two independent ones, so that a collision is out of the question.

    Attributes:
        rows: Number of rows.
        first: Sum of the rows' hashes.
        second: Sum of the hashes hashed again.
    """

    rows: int = 0
    first: int = 0
    second: int = 0

    def __add__(self, other: "Fingerprint") -> "Fingerprint":
        """The fingerprint of both tables, one under the other."""
        wrap = 2**64
        return Fingerprint(
            self.rows + other.rows, (self.first + other.first) % wrap, (self.second + other.second) % wrap
        )

    def digest(self, declaration: object) -> str:
        """SHA-256 over the content and a declaration that is plain JSON."""
        content = [self.rows, self.first, self.second, declaration]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def fingerprint(frame: pd.DataFrame, names: Sequence[str]) -> Fingerprint:
    """The fingerprint of the columns called ``names``; neither their order nor that of the rows matters."""
    words: WordArray = np.zeros(len(frame), dtype=np.uint64)
    for name in sorted(names):
        salt = np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
        words = mixed(mixed(words ^ salt) + hashes(frame[name]))
    return Fingerprint(len(frame), int(words.sum(dtype=np.uint64)), int(mixed(words).sum(dtype=np.uint64)))


def hashes(values: "pd.Series[Any]") -> WordArray:
    """[n] 64-bit hashes of values, the same for equal values in whatever type."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        plain = values.astype("datetime64[us]").to_numpy().view(np.int64)
    elif pd.api.types.is_numeric_dtype(values.dtype):
        plain = values.to_numpy()
        if plain.dtype.kind == "f":
            # Every NaN and both zeros have many bit patterns; one of each is kept.
            plain = np.where(np.isnan(plain), np.nan, plain + 0.0)
    else:
        plain = values.astype(object).where(values.notna(), _ABSENT).to_numpy(dtype=object)
    return np.asarray(pd.util.hash_array(plain), dtype=np.uint64)


def row_keys(identifiers: "pd.Series[Any]") -> NDArray[np.int64]:
    """Stable int64 keys: whole-number ids as they are, text ids hashed."""
    if pd.api.types.is_numeric_dtype(identifiers.dtype):
        return identifiers.to_numpy().astype(np.int64)
    return (hashes(identifiers) >> np.uint64(1)).astype(np.int64)


def parts(rows: NDArray[np.int64], seed: int) -> "pd.Series[Any]":
    """``fit`` for 60 %, ``tune`` for 15 % and ``held`` for 25 % of the rows, by a hash of row key and seed alone."""
    start = mixed(np.array([seed], dtype=np.int64).view(np.uint64))
    uniform = mixed(rows.view(np.uint64) ^ start) / 2.0**64
    names = np.select([uniform < _FIT, uniform < _FIT + _TUNE], ["fit", "tune"], "held")
    return pd.Series(names, dtype="str", name=PART)
