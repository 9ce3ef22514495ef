"""What a person declares of a table: where it is, what each column means, how it falls into batches."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from components.contracts import Column, ColumnKind, Estimate, Role
from components.errors import InputError
from components.ingestion.cdc import NhanesCdc
from components.ingestion.delimited import Delimited
from components.ingestion.nhanes import Nhanes
from components.ingestion.parquet import Parquet
from components.ingestion.sql import Sql
from components.secrets import Lookup
from components.values import BETWEEN

Source = Delimited | Parquet | Sql | Nhanes | NhanesCdc
Every = Literal["day", "week", "month", "quarter", "year"]

_AT_MOST_ONE: tuple[Role, ...] = ("observed_label", "evaluation_label", "time", "weight", "id")
_KINDS: dict[Role, tuple[ColumnKind, ...]] = {
    "feature": ("number", "flag", "category"),
    "observed_label": ("number", "category"),
    "time": ("time", "number"),
    "group": ("category", "flag"),
    "weight": ("number",),
    "id": ("number", "category"),
}


class Declared(BaseModel):
    """What is declared of one column; see ``components.contracts.Column``.

    Attributes:
        role: What the column is for.
        kind: What its values are.
        unit: Unit of the values.
        description: Plain words.
        minimum: Smallest valid value.
        maximum: Largest valid value.
        positive: For a label: the values that mean "positive".
        values: For an observed or evaluation label: all its values, in the order in which classes are numbered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role = "feature"
    kind: ColumnKind = "number"
    unit: str = ""
    description: str = ""
    minimum: float | None = Field(default=None, allow_inf_nan=False)
    maximum: float | None = Field(default=None, allow_inf_nan=False)
    positive: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    @field_validator("positive", "values", mode="before")
    @classmethod
    def _as_texts(cls, value: object) -> object:
        several = value if isinstance(value, list | tuple) else [value]
        return [str(item) if isinstance(item, bool | int | float) else item for item in several]


class Condition(BaseModel):
    """A row is kept when its value of ``column`` is present and fits.

    Attributes:
        column: A declared column.
        minimum: Smallest value kept.
        maximum: Largest value kept.
        equals: The one value kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    minimum: float | None = None
    maximum: float | None = None
    equals: str | float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Condition":
        if self.minimum is None and self.maximum is None and self.equals is None:
            raise InputError(f"keep of column {self.column!r} must have minimum, maximum or equals, got none of them")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise InputError(
                f"minimum of keep {self.column!r} must not exceed its maximum, got {self.minimum:g} > {self.maximum:g}"
            )
        return self

    def __str__(self) -> str:
        pairs = ((">=", self.minimum), ("<=", self.maximum), ("=", self.equals))
        return " and ".join(
            f"{self.column} {sign} {bound:g}" if isinstance(bound, float) else f"{self.column} {sign} {bound}"
            for sign, bound in pairs
            if bound is not None
        )


class Batches(BaseModel):
    """How the rows fall into batches.

    Attributes:
        by: A column of role time or group; each of its values is a batch.
        every: For a column of kind time: each day, week, month, quarter or year is a batch.
        rows_at_least: Batches with fewer rows are joined with the next one.
        label: A column whose value names the batch; the value of ``by`` does when this is absent.
        order: For a group: its values, in the order of the batches.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    every: Every | None = None
    rows_at_least: int = Field(default=1, ge=1)
    label: str | None = None
    order: tuple[str, ...] = ()


class Frequency(BaseModel):
    """What the owner of the data declares of P(labeled | positive).

    Attributes:
        value: The share of positive rows that carry the label.
        low: Lower end of its 95 % interval.
        high: Upper end.
        source: Who says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float = Field(gt=0, le=1)
    low: float = Field(gt=0, le=1)
    high: float = Field(gt=0, le=1)
    source: str

    @model_validator(mode="after")
    def _ordered(self) -> "Frequency":
        self.estimate()
        return self

    def estimate(self) -> Estimate:
        """As the contract wants it."""
        return Estimate(self.value, self.low, self.high, f"declared: {self.source}")


class Specification(BaseModel):
    """A typed description of one table.

    Attributes:
        name: Short name; the dataset's folder begins with it.
        description: What the table is, in plain words.
        source: Where the rows are.
        columns: What each column is, by name.
        undeclared: What to do with columns of the source that are not declared.
        keep: Conditions that every row kept fulfils; all rows are kept when there are none.
        batches: How the rows fall into batches; by each value of the time column when absent.
        label_frequency: P(labeled | positive) as the data's owner knows it; estimated when absent.
        knowledge: File with what is known of causes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    description: str = ""
    source: Annotated[Source, Field(discriminator="kind")]
    columns: dict[str, Declared]
    undeclared: Literal["ignore", "refuse"] = "ignore"
    keep: tuple[Condition, ...] = ()
    batches: Batches | None = None
    label_frequency: Frequency | None = None
    knowledge: Path | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Specification":
        _check_roles(self.declared)
        for condition in self.keep:
            _check_condition(condition, self.column(condition.column, "keep"))
        _check_batches(self)
        return self

    @property
    def declared(self) -> tuple[Column, ...]:
        """Every declared column, in the order of the declaration."""
        return tuple(Column(name=name, **dict(column)) for name, column in self.columns.items())

    @property
    def batching(self) -> Batches | None:
        """How the rows fall into batches, said or not; None where all are one batch."""
        time = self.one("time")
        return self.batches or (Batches(by=time.name) if time else None)

    @property
    def labelled(self) -> bool:
        """Whether there is a weak label to learn from; without one there is a causal graph to find and no more."""
        return self.one("weak_label") is not None

    def check_labelled(self) -> None:
        """Refuse a table that nothing can be trained on.

        Raises:
            InputError: No column is a weak label.
        """
        if not self.labelled:
            other = "; kintsugi classify learns from an observed label" if self.one("observed_label") else ""
            raise InputError(f"columns must have exactly one of role weak_label, got 0 (none){other}")

    @property
    def observed(self) -> Column:
        """The label that a classifier learns from, in whatever setting: the observed one, else the weak one.

        Raises:
            InputError: There is neither.
        """
        found = self.one("observed_label") or self.one("weak_label")
        if found is None:
            raise InputError("columns must have one of role observed_label or weak_label to learn from, got none")
        return found

    def one(self, role: Role) -> Column | None:
        """The first column of a role, None when there is none."""
        return next((column for column in self.declared if column.role == role), None)

    def column(self, name: str, place: str) -> Column:
        """The declared column called ``name``, which ``place`` of the specification speaks of.

        Raises:
            InputError: It is not declared.
        """
        if name not in self.columns:
            raise InputError(f"{place} must name a declared column, got {name!r}; declare it (role: ignored will do)")
        return Column(name=name, **dict(self.columns[name]))

    def with_source_path(self, path: str | Path) -> "Specification":
        """The same description of another file, or of files in another folder where the source downloads them.

        Raises:
            InputError: The source is neither.
        """
        if isinstance(self.source, NhanesCdc):
            return self.model_copy(update={"source": self.source.in_folder(Path(path))})
        if not isinstance(self.source, Delimited | Parquet):
            raise InputError(
                f"source.path can be replaced for csv, parquet and nhanes-cdc sources only, not for {self.source.kind}"
            )
        return self.model_copy(update={"source": self.source.model_copy(update={"path": str(path)})})

    def with_secrets(self, lookup: Lookup) -> "Specification":
        """The same, what ``${NAME}`` in a URL stands for being asked of ``lookup`` when it is used."""
        if not isinstance(self.source, Sql):
            return self
        return self.model_copy(update={"source": self.source.with_secrets(lookup)})

    def with_downloads_in(self, folder: Path) -> "Specification":
        """The same, what its source downloads being kept below ``folder`` unless it says where."""
        if not isinstance(self.source, NhanesCdc) or self.source.folder is not None:
            return self
        return self.model_copy(update={"source": self.source.in_folder(folder / self.source.kind)})

    def relative_to(self, folder: Path) -> "Specification":
        """The same, with relative paths seen from ``folder``."""
        knowledge = None if self.knowledge is None else folder / self.knowledge
        return self.model_copy(update={"source": self.source.relative_to(folder), "knowledge": knowledge})


def _check_roles(columns: tuple[Column, ...]) -> None:
    weak = [column.name for column in columns if column.role == "weak_label"]
    if len(weak) > 1:
        raise InputError(f"columns must have exactly one of role weak_label, got {len(weak)} ({', '.join(weak)})")
    for role in _AT_MOST_ONE:
        several = [column.name for column in columns if column.role == role]
        if len(several) > 1:
            raise InputError(f"columns must have at most one of role {role}, got {', '.join(several)}")
    if not any(column.role == "feature" for column in columns):
        raise InputError("columns must have at least one of role feature, got none")
    for column in columns:
        allowed = _KINDS.get(column.role, (column.kind,))
        if column.kind not in allowed:
            raise InputError(
                f"kind of {column.role} column {column.name!r} must be {' or '.join(allowed)}, got {column.kind!r}"
            )
        if column.positive and column.role not in ("weak_label", "evaluation_label"):
            raise InputError(f"positive is for labels only, column {column.name!r} has role {column.role!r}")
        _check_values(column)


def _check_values(column: Column) -> None:
    """Refuse a list of values where there is none to be, or none where there must be one."""
    named = f"values of column {column.name!r}"
    if column.role == "observed_label" and (column.kind == "category") != bool(column.values):
        raise InputError(
            f"{named} must be listed where an observed label is of kind category, and only there; got kind "
            f"{column.kind!r} and {len(column.values)} values"
        )
    if not column.values:
        return
    if column.role not in ("observed_label", "evaluation_label"):
        raise InputError(f"{named} are for an observed or evaluation label only, it has role {column.role!r}")
    if column.positive:
        raise InputError(f"{named} and positive exclude each other, got both")
    if len(set(column.values)) < len(column.values):
        raise InputError(f"{named} must name each once, got {', '.join(column.values)}")
    if any(BETWEEN in value or not value.strip() for value in column.values):
        raise InputError(f"{named} must be text without {BETWEEN!r}, got {', '.join(map(repr, column.values))}")


def _check_condition(condition: Condition, column: Column) -> None:
    if column.role == "evaluation_label":
        raise InputError(f"keep must not look at the evaluation label, got {column.name!r}")
    bounded = condition.minimum is not None or condition.maximum is not None
    if bounded and column.kind not in ("number", "flag"):
        raise InputError(
            f"keep with minimum or maximum needs a number, column {column.name!r} is of kind {column.kind!r}"
        )
    text = isinstance(condition.equals, str)
    if condition.equals is not None and (column.kind == "time" or (text and column.kind in ("number", "flag"))):
        raise InputError(
            f"equals of keep {column.name!r} must be a value of kind {column.kind!r}, got {condition.equals!r}"
        )


def _check_batches(specification: Specification) -> None:
    if specification.batches is None:
        if specification.labelled and specification.one("time") is None:
            raise InputError(
                "batches must be declared where there is no column of role time: add batches: {by: a group column}"
            )
        return
    batches = specification.batches
    by = specification.column(batches.by, "batches.by")
    if by.role not in ("time", "group"):
        raise InputError(f"batches.by must name a column of role time or group, {by.name!r} has role {by.role!r}")
    if batches.every is not None and by.kind != "time":
        raise InputError(
            f"batches.every must be left out where batches.by is not of kind time, got {batches.every!r} "
            f"for {by.name!r} of kind {by.kind!r}"
        )
    if batches.order and by.role != "group":
        raise InputError(f"batches.order is for groups only, {by.name!r} has role {by.role!r}")
    if len(set(batches.order)) != len(batches.order):
        raise InputError(f"batches.order must name each value once, got {', '.join(batches.order)}")
    if batches.label is not None:
        label = specification.column(batches.label, "batches.label")
        if label.role == "evaluation_label":
            raise InputError(f"batches.label must not be the evaluation label, got {label.name!r}")
