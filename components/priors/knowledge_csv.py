"""Read what a person knows from a CSV file, one claim a row.

The columns ``cause``, ``effect`` and ``claim`` (required path, forbidden path, required edge, forbidden edge) must be
there; ``probability`` (empty: certain) and ``source`` (where a person has it from) may be::

    cause,effect,claim,probability
    age,hba1c,required path,
    bmi,age,forbidden path,0.9
"""

import csv
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from components.contracts import Evidence
from components.errors import InputError
from components.priors.claims import check_names
from components.priors.stated import read_claim, read_probability, stated

NEEDED = ("cause", "effect", "claim")
COLUMNS = (*NEEDED, "probability", "source")


def csv_claims(text: str, path: Path, names: tuple[str, ...]) -> Iterator[Evidence]:
    """The claims in ``text``, in the order of the rows.

    Raises:
        InputError: It breaks a rule; the message names the line and the column.
    """
    lines = csv.reader(text.splitlines(), strict=True)
    try:
        header = _header(next(lines, []), path)
        for row in lines:
            if any(cell.strip() for cell in row):
                yield _claim(header, row, f"line {lines.line_num} of {path.name}", names)
    except csv.Error as error:
        raise InputError(f"the knowledge file must be CSV, got {path}: {error} in line {lines.line_num}") from None


def _header(cells: list[str], path: Path) -> list[str]:
    header = [cell.strip().lower() for cell in cells]
    for name in header:
        if name not in COLUMNS:
            near = get_close_matches(name, COLUMNS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "take it out"
            raise InputError(f"columns of {path} must be among {', '.join(COLUMNS)}, got {name!r}; {hint}")
        if header.count(name) > 1:
            raise InputError(f"columns of {path} must be there once, got {name!r} twice")
    missing = [name for name in NEEDED if name not in header]
    if missing:
        raise InputError(f"columns of {path} must hold {', '.join(NEEDED)} in the first line, {missing[0]} is missing")
    return header


def _claim(header: list[str], row: list[str], where: str, names: tuple[str, ...]) -> Evidence:
    if len(row) != len(header):
        raise InputError(f"{where} must have {len(header)} cells, got {len(row)}; put text with a comma in quotes")
    cells = dict(zip(header, (cell.strip() for cell in row), strict=True))
    cause, effect = cells["cause"], cells["effect"]
    for name in ("cause", "effect"):
        check_names(names, [cells[name]], f"{name} of {where}")
    if cause == effect:
        raise InputError(f"{where} must join two different variables, got {cause!r} causing itself")
    probability = read_probability(cells.get("probability"), where)
    return stated(cause, effect, read_claim(cells["claim"], where), "stated", probability, cells.get("source", ""))
