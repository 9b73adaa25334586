import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from serverless_api.http import validation
from serverless_api.http.errors import Problem, shorten
from serverless_api.storage.json_text import parse_json

names = st.sampled_from(["a", "b", "c", "d e", "ü"])
sizes = st.integers(0, 4)
# Halves are exact in binary, so jsonschema's floats have the same value.
numbers = st.integers(-5, 5) | st.integers(-10, 10).map(lambda n: n / 2)
strings = st.text("abü😀1", max_size=5)
scalars = st.none() | st.booleans() | numbers | strings
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)


def optional(**keywords):
    return st.fixed_dictionaries({}, optional=keywords)


def make_schemas(inner):
    return st.one_of(
        optional(
            type=st.just("object"),
            required=st.lists(names, unique=True, max_size=3),
            properties=st.dictionaries(names, inner, max_size=3),
            additionalProperties=st.booleans() | inner,
            minProperties=sizes,
            maxProperties=sizes,
        ),
        optional(type=st.just("array"), items=inner, minItems=sizes, maxItems=sizes),
    )


leaves = st.one_of(
    optional(type=st.sampled_from(["object", "array", "string", "boolean", "number", "integer"])),
    optional(enum=st.lists(scalars, min_size=1, max_size=4)),
    optional(
        type=st.just("string"), minLength=sizes, maxLength=sizes, pattern=st.sampled_from(["a", "^a", "b$", "^[ab]*$"])
    ),
    optional(type=st.sampled_from(["number", "integer"]), minimum=numbers, maximum=numbers),
    optional(title=strings, description=strings, format=st.just("uuid")),
)
schemas = st.recursive(leaves, make_schemas, max_leaves=8)


def parsed(value):
    return parse_json(json.dumps(value))


@given(schemas, values)
def test_what_is_valid_is_what_json_schema_calls_valid(schema, value):
    Draft202012Validator.check_schema(schema)
    problems = list(validation.find_problems(parsed(value), parsed(schema)))
    assert (not problems) == Draft202012Validator(schema).is_valid(value)
    assert all(isinstance(problem, Problem) and problem.field and problem.problem for problem in problems)


@settings(max_examples=30)
@given(schemas)
def test_every_model_of_these_keywords_can_be_loaded(tmp_path_factory, schema):
    folder = tmp_path_factory.getbasetemp() / "models"
    folder.mkdir(exist_ok=True)
    folder.joinpath("Generated.json").write_text(json.dumps(schema))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation, "MODELS", folder)
        validation.load_model.cache_clear()
        assert validation.load_model("Generated") == parsed(schema)
    validation.load_model.cache_clear()


def test_every_place_is_named_by_its_path():
    schema = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "items": {"type": "array", "items": {"type": "object", "properties": {"size": {"type": "integer"}}}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "additionalProperties": False,
    }
    value = parsed({"items": [{"size": 1}, {"size": 1.5}, 7], "labels": {"a": "x", "b": 1}, "other": True})
    problems = dict(validation.find_problems(value, schema))
    assert problems == {
        "name": "is missing",
        "items[1].size": "must be a whole number",
        "items[2]": "must be an object",
        "labels.b": "must be a string",
        "other": "is not a known property",
    }


@pytest.mark.parametrize(
    ("number", "is_whole"),
    [
        (Decimal("1E1000000000"), True),
        (Decimal("1E-1000000000"), False),
        (Decimal("1" * 5000 + ".0"), True),
        (Decimal("1" * 5000 + ".1"), False),
        (Decimal("-0"), True),
    ],
)
def test_a_number_of_any_size_is_whole_or_not(number, is_whole):
    assert list(validation.find_problems(number, {"type": "integer"})) == (
        [] if is_whole else [Problem("body", "must be a whole number")]
    )


def test_a_long_name_is_not_copied_for_each_part_below_it():
    schema = {"additionalProperties": {"additionalProperties": {"type": "string"}}}
    value = {"n" * 1_000_000: dict.fromkeys(map(str, range(100_000)), "")}
    value["n" * 1_000_000]["last"] = 1
    (problem,) = validation.find_problems(value, schema)
    assert problem.field.endswith("n….last")
    assert len(problem.field) < 400


def test_choices_are_written_as_json():
    assert list(validation.find_problems(1, {"enum": ["a", None, True, Decimal("1.10")]})) == [
        Problem("body", "must be one of a, null, true, 1.10")
    ]


def test_problems_are_found_as_they_are_asked_for():
    problems = validation.find_problems([0] * 1_000_000, {"items": {"type": "string"}})
    assert next(problems) == Problem("[0]", "must be a string")


def test_a_value_that_is_wrong_as_a_whole_is_called_what_the_caller_says():
    assert list(validation.find_problems(1, {"type": "object"}, "query")) == [Problem("query", "must be an object")]


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"oneOf": []}, "oneOf"),
        ({"type": "object", "properties": {"a": {"const": 1}}}, "const"),
        ({"type": "array", "items": {"uniqueItems": True}}, "uniqueItems"),
        ({"type": "object", "additionalProperties": {"exclusiveMinimum": 0}}, "exclusiveMinimum"),
        ({"$ref": "#/components/schemas/Resource"}, r"\$ref"),
        ({"type": "object", "properties": {"a": {"pattern": r"(a)\1"}}}, r"Refused\.a has a pattern that has groupref"),
        ({"pattern": "("}, "is not a regular expression"),
    ],
)
def test_a_model_with_a_keyword_that_is_not_checked_is_refused(tmp_path, monkeypatch, schema, keyword):
    tmp_path.joinpath("Refused.json").write_text(json.dumps(schema))
    monkeypatch.setattr(validation, "MODELS", tmp_path)
    with pytest.raises(validation.ModelError, match=keyword):
        validation.load_model("Refused")


@pytest.mark.parametrize(
    "text", ["[]", "5", "null", "{", "\xff", '{"properties": []}', '{"properties": {"a": 7}}', '{"items": "x"}']
)
def test_a_model_that_is_not_a_schema_is_refused_with_its_file(tmp_path, monkeypatch, text):
    tmp_path.joinpath("Broken.json").write_text(text, encoding="latin-1")
    monkeypatch.setattr(validation, "MODELS", tmp_path)
    with pytest.raises(validation.ModelError, match=r"models/Broken\.json"):
        validation.load_model("Broken")


def test_a_model_that_is_not_there_is_named():
    with pytest.raises(validation.ModelError, match=r"models/Missing\.json"):
        validation.load_model("Missing")


def test_a_text_of_an_error_has_300_characters():
    assert [shorten("x" * size) for size in (300, 301)] == ["x" * 300, "x" * 299 + "…"]


@pytest.mark.parametrize("limit", ["minimum", "maximum"])
def test_a_number_may_be_as_small_or_large_as_its_limit(limit):
    beyond, schema = 2 if limit == "minimum" else 4, {"type": "number", limit: 3}
    found = [list(validation.find_problems(value, schema, "n")) for value in (3, Decimal("3.0"), beyond)]
    assert [len(problems) for problems in found] == [0, 0, 1]
