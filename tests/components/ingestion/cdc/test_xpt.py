"""The SAS transport format: numbers against exact fractions, tables against pandas, files that are cut or damaged."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from components.ingestion.cdc import xpt

words = st.integers(0, 2**64 - 1)
numbers = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e60, max_value=1e60).filter(
    lambda number: number == 0 or abs(number) > 1e-60
)
# The server of the fixture's module is not used here, and what it writes depends on nothing.
shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def exact(word: int) -> float:
    """The definition, in fractions: (-1)^s * f / 2^56 * 16^(e - 64)."""
    sign, exponent, fraction = word >> 63, (word >> 56) & 0x7F, word & (2**56 - 1)
    if not fraction:
        return float("nan") if (word >> 56) in b"._ABCDEFGHIJKLMNOPQRSTUVWXYZ" else 0.0
    value = (-1) ** sign * Fraction(fraction, 2**56) * Fraction(16) ** (exponent - 64)
    return float(value) if abs(value) >= Fraction(1e-70) else 0.0


@given(words)
@example(0x2E00000000000000)  # .
@example(0x4100000000000000)  # .A, whose first byte is that of 1.0 to 15.9
@example(0x4110000000000000)  # 1
@example(0x0010000000000000)  # 2**-260, the zero of other programs
@example(0x8000000000000000)
@example(0x7FFFFFFFFFFFFFFF)
def test_a_number_is_what_the_definition_says(word: int) -> None:
    (found,) = xpt.decoded(np.array([word], dtype=np.uint64))
    np.testing.assert_equal(found, exact(word))
    assert not np.signbit(found) or found < 0


@shared
@given(st.lists(numbers, min_size=1, max_size=20))
def test_numbers_come_back_to_the_last_bit(make: SimpleNamespace, values: list[float]) -> None:
    packed = make.ibm(values).view(">u8").reshape(-1).astype(np.uint64)
    np.testing.assert_array_equal(xpt.decoded(packed), values)


@shared
@given(st.data())
def test_pandas_reads_the_same_table(tmp_path: Path, make: SimpleNamespace, data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 30))
    value = st.one_of(numbers, st.sampled_from([".", ".A", ".Z", "._", float("nan"), 0.0]))
    names = data.draw(
        st.lists(st.from_regex(r"[A-Z][A-Z0-9]{0,7}", fullmatch=True), min_size=1, max_size=6, unique=True)
    )
    columns = {name: data.draw(st.lists(value, min_size=rows, max_size=rows)) for name in names}
    file = tmp_path / "TABLE.xpt"
    file.write_bytes(make.xpt(columns))
    oracle = pd.read_sas(file, format="xport", encoding="infer")
    oracle = oracle.mask(oracle.abs() < 1e-70, 0.0)  # its zero
    assert xpt.names(file) == list(oracle.columns)
    pd.testing.assert_frame_equal(xpt.read(file, names), oracle, check_exact=True)


def test_short_numbers_and_texts_beside_them_are_read(tmp_path: Path, make: SimpleNamespace) -> None:
    file, texts = tmp_path / "TABLE.xpt", ["no blanks, a", "s pandas tak", "es them away"]
    file.write_bytes(make.xpt({"SEQN": [1, 2, 3], "CODE": [1.5, ".B", -7]}, length=4, texts=texts))
    oracle = pd.read_sas(file, format="xport", encoding="infer")
    assert xpt.names(file) == ["SEQN", "CODE", "TEXT"] == list(oracle.columns)
    pd.testing.assert_frame_equal(xpt.read(file, ["CODE", "SEQN"]), oracle[["CODE", "SEQN"]])
    with pytest.raises(xpt.NotATable, match="no column of numbers called TEXT"):
        xpt.read(file, ["TEXT"])


def test_every_cut_is_found_out_but_one_between_two_rows(tmp_path: Path, make: SimpleNamespace) -> None:
    content = make.xpt({"SEQN": np.arange(1.0, 8.0), "A": np.arange(7.0), "B": np.arange(7.0)})
    width, head = 24, content.index(b"HEADER RECORD*******OBS") + 80
    file, whole = tmp_path / "TABLE.xpt", []
    for size in range(len(content) + 1):
        file.write_bytes(content[:size])
        try:
            xpt.names(file)
        except xpt.NotATable:
            continue
        whole.append(size)
    ends = [head + rows * width for rows in range(1, 8)]
    # Blanks that fill the last card may be missing: nothing of the table is.
    assert whole == sorted({*ends, *range(ends[-1], len(content) + 1)})


@shared
@given(place=st.integers(0, 1100), value=st.integers(0, 255))
def test_a_damaged_file_is_a_table_or_refused(tmp_path: Path, make: SimpleNamespace, place: int, value: int) -> None:
    content = bytearray(make.xpt({"SEQN": [1, 2], "A": [3, 4]}))
    content[place] = value
    file = tmp_path / "TABLE.xpt"
    file.write_bytes(bytes(content))
    with suppress(xpt.NotATable):
        assert list(xpt.read(file, xpt.names(file)).columns) == xpt.names(file)
