"""Collections of a noun that is stated in one line."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import RFC_4122, UUID

import pytest

from tests.support.gateway import import_functions

MODEL = {
    "type": "object",
    "required": ["label"],
    "additionalProperties": False,
    "properties": {
        "label": {"type": "string"},
        "price": {"type": "number"},
        "size, in mm": {"type": "integer"},
        "is_new": {"type": "boolean"},
        "parts": {"type": "array", "items": {"type": "object"}},
        "anything": {},
    },
}
DIGITS = (
    '{"label":"é \\"1\\"","price":12.50,"size, in mm":123456789012345678901234567890123456789012345,"is_new":false,'
    '"parts":[{"weight":0.10},{"weight":1E+400}],"anything":null}'
)


@contextmanager
def open_house(aws: str, folder: Path, **models: Any) -> Iterator[Any]:
    """The house in a fresh environment that finds these models."""
    for name, model in models.items():
        folder.joinpath(f"{name}.json").write_text(json.dumps(model))
    with import_functions({"AWS_ENDPOINT_URL": aws}), pytest.MonkeyPatch.context() as patch:
        import serverless_api
        from serverless_api.http import validation

        patch.setattr(validation, "MODELS", folder)
        yield serverless_api


@pytest.fixture
def house(aws: str, table: Any, tmp_path: Path) -> Iterator[Any]:
    with open_house(aws, tmp_path, WidgetInput=MODEL, GadgetInput=MODEL) as house:
        yield house


@pytest.fixture
def widgets(house: Any) -> Any:
    return house.Collection("widget", model="WidgetInput")


@pytest.fixture
def alice(house: Any) -> Any:
    return house.Caller("alice", frozenset())


def strip(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in ("id", "createdAt", "updatedAt")}


def test_every_field_comes_back_digit_by_digit(house, widgets, alice):
    fields = house.parse_json(DIGITS)
    created = widgets.create(alice, fields)
    changed = widgets.update(alice, created.id, fields)
    read = widgets.get(alice, created.id)
    (listed,) = widgets.list(alice, limit=5).items
    for entity in (created, changed, read, listed):
        assert house.dump_json(strip(entity.to_document())) == DIGITS
        assert entity.fields == fields
    assert list(read.to_document()) == ["id", *MODEL["properties"], "createdAt", "updatedAt"]


def test_a_field_that_is_left_out_of_an_update_is_removed(widgets, alice):
    created = widgets.create(alice, {"label": "a", "size, in mm": 1})
    assert strip(widgets.update(alice, created.id, {"label": "b"}).to_document()) == {"label": "b"}
    assert strip(widgets.get(alice, created.id).to_document()) == {"label": "b"}


def test_items_are_kept_under_caller_and_noun(house, table, alice):
    created = house.Collection("wall widget", model="WidgetInput").create(alice, {"label": "a"})
    (item,) = table.scan(TableName="resources")["Items"]
    assert (item["pk"], item["sk"]) == ({"S": "user#alice"}, {"S": f"wall widget#{created.id}"})


def test_a_page_has_items_and_a_token(widgets, alice):
    ids = [widgets.create(alice, {"label": str(number)}).id for number in range(3)]
    first = widgets.list(alice, limit=2)
    document = first.to_document("widgets")
    assert [item["id"] for item in document["widgets"]] == [ids[2], ids[1]]
    assert (document["count"], document["nextToken"]) == (2, first.next_token)
    rest = widgets.list(alice, limit=2, after=first.next_token).to_document("widgets")
    assert list(rest) == ["widgets", "count"]
    assert [item["id"] for item in rest["widgets"]] == [ids[0]]


def test_long_text_ends_a_page_early(widgets, alice):
    # A control character takes seven bytes in Lambda's response.
    text = "\u0001" * 390_000
    for _ in range(3):
        widgets.create(alice, {"label": text})
    page = widgets.list(alice, limit=3)
    body = json.dumps(page.to_document("widgets"))
    assert len(json.dumps(body)) < 6_000_000
    assert len(page.items) == 1
    assert page.next_token is not None


def test_the_same_key_of_two_nouns_is_two_keys(house, widgets, alice):
    gadgets = house.Collection("gadget", model="GadgetInput")
    widget = widgets.create(alice, {"label": "a"}, key="key")
    gadget = gadgets.create(alice, {"label": "b"}, key="key")
    again = gadgets.create(alice, {"label": "b"}, key="key")
    assert widget.id != gadget.id
    assert again.to_document() == gadget.to_document()
    with pytest.raises(house.UnprocessableContent):
        gadgets.create(alice, {"label": "a"}, key="key")
    assert len(gadgets.list(alice, limit=5).items) == len(widgets.list(alice, limit=5).items) == 1


def test_ids_of_another_noun_are_not_found(house, widgets, alice):
    created = widgets.create(alice, {"label": "a"})
    with pytest.raises(house.NotFound):
        house.Collection("gadget", model="GadgetInput").get(alice, created.id)


def test_errors_name_the_noun(house, widgets, alice):
    created = widgets.create(alice, {"label": "a"})
    for call in (
        lambda: widgets.get(alice, "no ID"),
        lambda: widgets.update(alice, created.id[:-1] + "g", {"label": "b"}),
        lambda: widgets.delete(house.Caller("bob", frozenset()), created.id),
    ):
        with pytest.raises(house.NotFound, match="There is no such widget"):
            call()
    with pytest.raises(house.PreconditionFailed, match="The widget has changed since it was read"):
        widgets.delete(alice, created.id, house.Preconditions(match=frozenset({"other"})))
    widgets.delete(alice, created.id, house.Preconditions(match=frozenset({created.version, "other"})))
    with pytest.raises(house.NotFound):
        widgets.get(alice, created.id)


def test_a_noun_has_metrics_of_its_own(house):
    house.Collection("key of gold", model="WidgetInput", plural="keys of gold")
    assert {"KeysOfGoldRetrieved", "KeysOfGoldChanged"} <= house.Metric.declared


@pytest.mark.parametrize("noun", ["", "Widget", "widget#1", "9", "user/widget"])
def test_a_noun_that_does_not_fit_a_key_is_rejected(house, noun):
    with pytest.raises(ValueError, match="lower-case words"):
        house.Collection(noun, model="WidgetInput")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"additionalProperties": True}, "additionalProperties: false"),
        ({"type": "array"}, "type object"),
        ({"properties": {"version": {"type": "string"}}}, "names version, which is reserved"),
        ({"properties": {"createdAt": {}, "id": {}}}, "names createdAt, id, which is reserved"),
        ({"oneOf": []}, "uses oneOf, which is not checked"),
        ({"properties": {"a": {"type": ["string", "null"]}}}, "is not checked"),
    ],
)
def test_a_model_that_cannot_state_fields_stops_the_start(aws, tmp_path, change, message):
    with open_house(aws, tmp_path, Bad=MODEL | change) as house:
        from serverless_api.http.validation import ModelError

        with pytest.raises(ModelError, match=message):
            house.Collection("widget", model="Bad")


def test_a_noun_may_derive_attributes(house, alice):
    class Widgets(house.Collection):
        derived = ("pieces",)

        def derive(self, draft: Any) -> dict[str, Any]:
            return {"pieces": house.dump_json(len(draft.fields["parts"]))}

    widgets = Widgets("widget", model="WidgetInput")
    fields: Callable[[int], dict[str, Any]] = lambda number: {"label": "a", "parts": [{}] * number}  # noqa: E731
    created = widgets.create(alice, fields(2), key="key")
    assert created.to_document()["pieces"] == "2"
    assert widgets.create(alice, fields(2), key="key").to_document() == created.to_document()
    assert widgets.update(alice, created.id, fields(3)).to_document()["pieces"] == "3"
    (listed,) = widgets.list(alice, limit=1).items
    assert house.dump_json(listed.to_document()["pieces"]) == "3"


@pytest.mark.parametrize(
    ("rest", "start", "written"),
    [
        (0, "01a2ce8b-d400-7000-", "00.000Z"),
        (250_000, "01a2ce8b-d400-7400-", "00.000Z"),
        (999_999, "01a2ce8b-d400-7fff-", "00.000Z"),
        (999_000_000, "01a2ce8b-d7e7-7000-", "00.999Z"),
        (999_999_999, "01a2ce8b-d7e7-7fff-", "00.999Z"),
    ],
)
def test_an_id_and_a_time_have_the_moment_cut_to_what_they_show(rest: int, start: str, written: str) -> None:
    with import_functions():
        from serverless_api.http.collection import format_time, make_id

        now = 1_798_761_600_000_000_000 + rest
        assert format_time(now) == f"2027-01-01T00:00:{written}"
        ids = {make_id(now) for _ in range(50)}
    assert len(ids) == 50
    assert all(item_id.startswith(start) and UUID(item_id).variant == RFC_4122 for item_id in ids)
