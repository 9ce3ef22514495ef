"""Forms: made from the methods' fields, and strict."""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import get_args, get_type_hints

import pytest

from components.errors import InputError
from components.heads import Head, Linear, Mlp
from flows.configuration import PLANS, Pipeline, read_values
from flows.forms import build, descriptions, form_of, read_form


@dataclass(frozen=True)
class Inner:
    """An inner method.

    Attributes:
        head: What is fitted, over
            two lines.
        count: How many.
    """

    head: Head = Mlp()
    count: int = 3

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"count must be at least 1, got {self.count}")


@dataclass(frozen=True)
class Outer:
    """An outer one.

    Attributes:
        inner: The inner one.
    """

    inner: Inner = Inner()


@pytest.mark.parametrize("method", [Outer, *PLANS.values()])
def test_an_empty_form_builds_the_default_method(method: type) -> None:
    assert build(read_form(method, {})) == method()


def test_values_reach_the_method() -> None:
    made = build(read_form(Outer, {"inner": {"head": {"kind": "linear"}, "count": 5}}))
    assert made == Outer(Inner(Linear(), 5))


@dataclass(frozen=True)
class Chosen:
    """One with a default that is not its method's own.

    Attributes:
        inner: The inner one.
    """

    inner: Inner = Inner(Mlp(hidden=5), 7)


def test_saying_one_thing_of_a_method_keeps_its_other_defaults() -> None:
    assert build(read_form(Chosen, {"inner": {"count": 2}})) == Chosen(Inner(Mlp(hidden=5), 2))
    assert build(read_form(Chosen, {"inner": {"head": {"hidden": 2}}})) == Chosen(Inner(Mlp(hidden=2), 7))
    assert build(read_form(Chosen, {"inner": {"head": {"kind": "linear"}}})) == Chosen(Inner(Linear(), 7))
    partly = build(read_form(Pipeline, {"training": {"rule": {"epochs": 3}}}))
    assert partly.training.rule == replace(Pipeline().training.rule, epochs=3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inner": {"count": 0}}, "inner: count must be at least 1, got 0"),
        ({"inner": {"count": "many"}}, "inner.count: .*integer.*got 'many'"),
        ({"inner": {"cuont": 1}}, "inner.cuont is no field.*did you mean count"),
        ({"iner": {}}, "iner is no field.*did you mean inner"),
        ({"inner": {"head": {"kind": "linaer"}}}, "inner.head: .*'linaer'"),
        ({"inner": {"head": {"kind": "mlp", "hiden": 3}}}, "inner.head.hiden is no field.*did you mean hidden"),
        ({"inner": {"head": {"kind": "mlp", "hidden": 0}}}, "hidden must be at least 1, got 0"),
        ({"inner": 3}, "inner: .*got 3"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_form(Outer, values)


def test_the_schema_carries_titles_texts_and_defaults() -> None:
    schema = form_of(Outer).model_json_schema()
    count = schema["$defs"]["Inner"]["properties"]["count"]
    assert (count["title"], count["description"], count["default"]) == ("Count", "How many.", 3)
    assert schema["$defs"]["Inner"]["properties"]["head"]["description"] == "What is fitted, over two lines."
    assert schema["additionalProperties"] is False


def test_a_choice_of_methods_is_said_in_words_that_pages_know() -> None:
    schema = form_of(Pipeline).model_json_schema()
    risk = schema["$defs"]["Training"]["properties"]["risk"]
    assert not {"oneOf", "allOf"}.intersection(risk)
    # A page opens the first that has most of the given fields, so none may have all those of a later one.
    named = [place["$ref"].rpartition("/")[2] for place in risk["anyOf"]]
    assert named == ["Uncorrected", "Absolute", "Floored", "Leaky", "NonNegative"]


def test_a_text_in_angle_brackets_is_no_tag_on_a_page() -> None:
    schema = form_of(Pipeline).model_json_schema()
    assert "<" in descriptions(Pipeline)["model"]
    assert schema["properties"]["model"]["description"].endswith("kintsugi-&lt;name of the data>.")


@pytest.mark.parametrize(
    ("head", "named"),
    [
        ({"kind": "mlp", "hidden": 0}, "0 is less than the minimum of 1"),
        ({"kind": "linear", "hidden": 2}, "'hidden'"),
        ({"kind": "mlp", "hidden": "x"}, "'x' is not of type 'integer'"),
    ],
)
def test_the_api_names_the_mistake_in_the_method_that_was_chosen(head: dict[str, object], named: str) -> None:
    from prefect.utilities.schema_tools.validation import build_error_obj, validate

    told = build_error_obj(validate({"inner": {"head": head}}, form_of(Outer).model_json_schema()))
    assert named in str(told)
    assert build_error_obj(
        validate({"inner": {"head": {"kind": "mlp", "hidden": 2}}}, form_of(Outer).model_json_schema())
    )["valid"]


def test_the_api_can_tell_of_a_mistake_deep_inside_a_choice() -> None:
    from prefect.utilities.schema_tools.validation import build_error_obj, validate

    from tasks.deployments import conditions_first

    values = {"training": {"risk": {"kind": "non_negative", "groups": ["x"]}}}
    told = build_error_obj(validate(values, conditions_first(form_of(Pipeline).model_json_schema())))
    assert "'x' is not of type 'integer'" in str(told)


def every_method(method: type) -> set[type]:
    hints = get_type_hints(method).values()
    below = [member for hint in hints for member in (hint, *get_args(hint)) if isinstance(member, type)]
    return {method}.union(*(every_method(member) for member in below if is_dataclass(member)))


@pytest.mark.parametrize(
    "method",
    sorted(set().union(*map(every_method, PLANS.values())), key=lambda method: method.__name__),
    ids=lambda method: method.__name__,
)
def test_every_field_of_every_method_is_described(method: type) -> None:
    texts = descriptions(method)
    assert [field.name for field in fields(method) if field.name != "kind" and not texts.get(field.name)] == []


@dataclass(frozen=True)
class Demanding:
    """One that must be told something, and may be told something else.

    Attributes:
        share: What must be said.
        head: What may be left out.
        inner: What may be left out and stands alone.
    """

    share: float
    head: Head | None = None
    inner: Inner | None = None


def test_what_has_no_usual_value_must_be_given() -> None:
    assert build(read_form(Demanding, {"share": 0.5})) == Demanding(0.5)
    assert form_of(Demanding).model_json_schema()["required"] == ["share"]
    with pytest.raises(InputError, match=r"^share must be given, it has no usual value$"):
        read_form(Demanding, {})
    with pytest.raises(InputError, match=r"^shrae is no field of the configuration; did you mean share\?$"):
        read_form(Demanding, {"shrae": 0.5})


def test_nothing_may_be_chosen_where_nothing_is_a_choice() -> None:
    from prefect.utilities.schema_tools.validation import build_error_obj, validate

    for head in (None, {"kind": "linear"}, {"kind": "mlp", "hidden": 2}):
        values = {"share": 0.5, "head": head, "inner": None}
        made = build(read_form(Demanding, values))
        assert made.head == (None if head is None else Linear() if head["kind"] == "linear" else Mlp(hidden=2))
        assert build_error_obj(validate(values, form_of(Demanding).model_json_schema()))["valid"]
    head_schema = form_of(Demanding).model_json_schema()["properties"]["head"]
    assert head_schema["anyOf"][-1] == {"type": "null"}
    assert not {"oneOf", "allOf"}.intersection(head_schema)
    wrong = {"share": 0.5, "head": {"kind": "mlp", "hidden": 0}}
    told = build_error_obj(validate(wrong, form_of(Demanding).model_json_schema()))
    assert "0 is less than the minimum of 1" in str(told)
    with pytest.raises(InputError, match=r"head\.hiden is no field.*did you mean hidden"):
        read_form(Demanding, {"share": 0.5, "head": {"kind": "mlp", "hiden": 1}})


def test_assignments_win_over_the_file(tmp_path: pytest.TempPathFactory) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("training: {batches: 2, target: last}\n")
    values = read_values(file, ["training.batches=4", "discovery.replicates=10"])
    assert values == {"training": {"batches": 4, "target": "last"}, "discovery": {"replicates": 10}}


@pytest.mark.parametrize(
    ("content", "assignment", "message"),
    [
        (None, [], "there is none"),
        ("a: [", [], "must be YAML"),
        ("- a", [], "mapping of names"),
        ("a: 1", ["b"], "must look like"),
        ("a: 1", ["a.b=2"], "below a mapping"),
    ],
)
def test_a_bad_configuration_file_is_named(tmp_path, content, assignment, message) -> None:
    file = tmp_path / "config.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=message):
        read_values(file, assignment)
