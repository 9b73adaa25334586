"""Gives the noun of a new project its own fields, in place of `name`, `type` and `metadata`.

A field of choices takes the place of `type`: lists and searches filter by it. Tests about the fields that are gone go
too.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tools.scaffold.api import correct_length, dump_model
from tools.scaffold.changes import Changes, ScaffoldError
from tools.scaffold.fields import Field, make_example
from tools.scaffold.names import Noun
from tools.scaffold.noun import fill_piece, find_words, make_models, read_piece
from tools.scaffold.parts import remove_test
from tools.scaffold.source import format_source

_OLD = ("name", "type", "metadata")
_KINDS = ("A", "B", "C")
# Tests of what the old fields may hold, by their files and names.
_TESTS_OF_OLD_FIELDS = (
    "tests/internal/test_cache.py::test_no_answer_crosses_a_key",
    "tests/internal/test_cache.py::send_at_random",
    "tests/internal/test_cache.py::check_page",
    "tests/internal/test_rejection.py",
    "tests/records/test_events.py::test_a_{things}_life_becomes_events",
    "tests/records/test_trail.py::test_a_{things}_life_is_a_chain_of_entries",
    "tests/unit/{things}/test_create.py",
    "tests/unit/{things}/test_enrichment.py",
    "tests/unit/{things}/test_patch.py",
    "tests/unit/{things}/test_selection.py",
    "tests/unit/{things}/test_idempotency.py::test_a_number_with_other_digits_makes_another_body",
    "tests/unit/{things}/test_idempotency.py::test_another_body_under_the_same_key_is_refused",
    "tests/unit/{things}/test_idempotency.py::test_the_order_of_members_does_not_make_another_body",
    "tests/unit/{things}/test_idempotency.py::test_white_space_does_not_make_another_body",
    "tests/unit/{things}/test_list.py::test_large_{things}_are_all_listed_in_pages_that_fit",
    "tests/unit/{things}/test_list.py::test_pages_of_wide_characters_fit",
    "tests/unit/{things}/test_update.py::test_an_invalid_update_changes_nothing",
    "tests/unit/{things}/test_update.py::test_an_update_over_400_kb_is_too_large",
    "tests/unit/{things}/test_update.py::test_what_the_caller_may_change_is_replaced",
    "tests/unit/intelligence/test_search.py::test_a_deleted_item_and_one_that_no_longer_fits_are_left_out",
    "tests/unit/intelligence/test_vectors.py::test_the_embedded_text_is_all_that_the_fields_hold",
    "tests/unit/records/test_imports.py::test_a_line_that_cannot_be_stored_is_faulty_and_its_neighbours_are_not",
    "tests/unit/records/test_imports.py::test_faulty_lines_stop_no_other_and_are_named_in_the_words_of_the_api",
)
# A body of the old fields, as Python and JSON write it.
_BODY = re.compile(
    r'(?<!\{)\{\s*(\\?)"name\1": ?\1"[^"\\]*\1", ?\1"type\1": ?\1"([ABC])\1"(?:, ?\1"metadata\1": ?\{[^{}\']*\})?\s*\}'
)


class FirstNoun:
    """The noun and the fields that it gets.

    Attributes:
        words: what pieces are filled with.
        choice: the field of choices by which lists filter; None if there is none.
        label: the field that stands for an item in a few words.
    """

    def __init__(self, noun: Noun, fields: Sequence[Field]) -> None:
        if any(field.name == "enrichment" for field in fields):
            raise ScaffoldError("FIELDS: enrichment is what the enrichment service adds; choose another name.")
        self.fields = fields
        self.words = find_words(noun, fields)
        self.choice = next((field for field in fields if "enum" in field.schema), None)
        self.label = self.words["required"]

    def replace_fields(self, project: Path) -> None:
        """Write the noun's fields wherever the old ones stand."""
        changes = Changes(project)
        self._replace_models(changes)
        self._replace_package(changes)
        self._replace_documents(changes)
        self._remove_tests(changes)
        self._edit_templates(changes)
        self._edit_texts(changes)
        changes.write()

    def _remove_tests(self, changes: Changes) -> None:
        for test in _TESTS_OF_OLD_FIELDS:
            file, _, name = test.format(**self.words).partition("::")
            if name:
                remove_test(changes, file, name)
            elif changes.exists(file):
                changes.remove(file)
        test = format_source(fill_piece(read_piece("test_api.py.txt"), self.words))
        changes.replace(f"tests/api/test_{self.words['things']}.py", test)

    def make_body(self, kind: str) -> dict[str, Any]:
        """Return a body in place of one whose `type` was A, B or C."""
        return make_example(self.fields, other=kind != "A")

    def _replace_models(self, changes: Changes) -> None:
        models = make_models(self.words, self.fields)
        item = models[self.words["Thing"]]["properties"]
        item["enrichment"] = {"type": "object", "additionalProperties": True}
        for name, model in models.items():
            changes.replace(f"models/{name}.json", dump_model(model))

    def _replace_package(self, changes: Changes) -> None:
        filters = f', filters=("{self.choice.name}",)' if self.choice else ""
        text = fill_piece(read_piece("first_package.py.txt"), {**self.words, "filters": filters})
        changes.replace(f"layers/shared/{self.words['things']}/__init__.py", format_source(text))

    def _replace_documents(self, changes: Changes) -> None:
        for name in [*changes.list_files("events", "*.json"), *changes.list_files("models", "*.json")]:
            text = changes.read(name)
            if name == "events/start_import.json":
                note = {"note": "A line without the required fields is faulty, so this file creates nothing"}
                document = json.loads(text) | {"body": json.dumps(note)}
            else:
                kind = "B" if re.match(r"events/(update|patch)_", name) else "A"
                document = self._convert(json.loads(text), kind)
            if document != json.loads(text):
                changes.replace(name, correct_length(json.dumps(document, indent=2, ensure_ascii=False) + "\n"))
        for name in ("examples/seed.json", f"examples/{self.words['things']}.json"):
            (key, items), *others = json.loads(changes.read(name)).items()
            items = [self._convert(item, _KINDS[index % 2]) for index, item in enumerate(items)]
            document = {key: items, **dict(others)}
            changes.replace(name, json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def _convert(self, value: Any, kind: str) -> Any:
        """Return JSON with the new fields: documents, items of the table, and JSON in texts."""
        match value:
            case {"name": str(), "type": "A" | "B" | "C"}:
                return _replace_members(value, self.make_body(kind))
            case {"name": {"S": _}, "type": {"S": "A" | "B" | "C"}}:
                stored = {field.name: {"S": field.store(self.make_body(kind)[field.name])} for field in self.fields}
                return self._replace_key(_replace_members(value, stored))
            case dict():
                return {name: self._convert(part, kind) for name, part in value.items()}
            case list():
                return [self._convert(part, kind) for part in value]
            case str() if value.startswith("{") and '"type"' in value:
                converted = self._convert(json.loads(value), kind)
                return value if converted == json.loads(value) else json.dumps(converted, ensure_ascii=False)
        return value

    def _replace_key(self, item: dict[str, Any]) -> dict[str, Any]:
        """Return an item of the table with its key in the index of the filter."""
        if "by_type" not in item:
            return item
        if self.choice is None:
            return {name: value for name, value in item.items() if name != "by_type"}
        prefix, _, created = item["by_type"]["S"].split("#")
        key = {"S": f"{prefix}#{item[self.choice.name]['S']}#{created}"}
        return {
            (f"by_{self.choice.name}" if name == "by_type" else name): (key if name == "by_type" else value)
            for name, value in item.items()
        }

    def _edit_templates(self, changes: Changes) -> None:
        a_word, example = self.words["a_word"], json.dumps(json.dumps(self.make_body("A")) + "\n")
        edits = [
            (r'example: "\{\\"name\\".*?\\n"', f"example: {example}"),
            (rf"{a_word}'s name, type and metadata", f"the fields of {a_word}"),
            (r"some of the fields of", "some fields of"),
            (r"the name, type and metadata of", "the fields of"),
            (r"stays, and null removes metadata or a member of it", f"stays{self.words['cleared']}"),
        ]
        edits += self._edit_filter()
        parameters = ["models/openapi/parameters.json"]
        for file in ("template.yaml", *changes.list_files("stacks", "*.yaml"), *parameters):
            changes.replace(file, _edit(changes.read(file), edits))

    def _edit_filter(self) -> list[tuple[str, str]]:
        """Return the edits that have the field of choices take the place of `type`, or remove the filter."""
        if self.choice is None:
            return [
                (r",\n +\{name: type, in: query, .*?\}\}", ""),
                (r', \{\$ref: "#/components/parameters/SearchType"\}', ""),
                (r'^  "SearchType": \{\n(?:    .*\n)+  \},\n', ""),
                (r"With `type`, or sorted", "Sorted"),
                (r"^ +- \{AttributeName: by_type, .*\n", ""),
                (r"^ +- !If \[Searches, \{AttributeName: type, .*\n", ""),
                (r"^ +- \{IndexName: by_type, .*\n.*\n", ""),
                (r"\{ProjectionType: INCLUDE, NonKeyAttributes: \[type\]\}", "{ProjectionType: KEYS_ONLY}"),
                (r", \{AttributeName: type, SearchSchemaElementType: INLINE_FILTER\}", ""),
                (r"!Sub \"\$\{Table.Arn\}/index/by_type\", ", ""),
            ]
        name, choices = self.choice.name, self.choice.schema["enum"]
        return [
            (r"\bname: type, in: query", f"name: {name}, in: query"),
            (r'"name": "type", "in": "query"', f'"name": "{name}", "in": "query"'),
            (r"\bof this type\b", f"of this {name}"),
            (r"enum: \[A, B, C\]", f"enum: [{', '.join(choices)}]"),
            (r'"enum": \["A", "B", "C"\]', f'"enum": {json.dumps(choices)}'),
            (r"\bSearchType\b", f"Search{name[0].upper()}{name[1:]}"),
            (r"With `type`, or", f"With `{name}`, or"),
            (r"AttributeName: type\b", f"AttributeName: {name}"),
            (r"\bby_type\b", f"by_{name}"),
            (r"NonKeyAttributes: \[type\]", f"NonKeyAttributes: [{name}]"),
        ]

    def _edit_texts(self, changes: Changes) -> None:
        """Edit code, tests and pages."""
        edits = [(r"metadata\.enrichment", "enrichment")]
        shown = ", ".join(json.dumps(word) for word in str(self.make_body("A")[self.label]).split())
        code = [
            # What the machine client prints of the item that it has made.
            (r'"made", "by", "a", "machine"(?=\])', shown),
            (r'"name": source\.entity\.fields\["name"\]', f'"{self.label}": source.entity.fields["{self.label}"]'),
            (r"\{entry\['name'\]\}", f"{{entry['{self.label}']}}"),
        ]
        for file in (*changes.list_files("docs", "*.md"), *changes.list_files("examples", "*.md")):
            text = _edit(changes.read(file), [*edits, *self._edit_page(file)])
            changes.replace(file, self.replace_bodies(text, json.dumps))
        sources = [
            name
            for folder in ("functions", "layers", "examples", "tests")
            for name in changes.list_files(folder, "*.py")
        ]
        for file in (*sources, "tools/seed.py"):
            text = changes.read(file)
            edited = self.replace_bodies(_edit(text, [*edits, *code]), write_literal)
            if edited != text:
                changes.replace(file, format_source(edited))

    def _edit_page(self, page: str) -> list[tuple[str, str]]:
        """Return the edits of a page that explains by the example of the old fields."""
        patch = json.dumps({self.label: self.make_body("B")[self.label]})
        edits = {
            "docs/decisions/merge-patch.md": [(r'\{"name": "New name", .*?\}\}', patch)],
            "docs/decisions/search.md": [(r"names, types and all that its metadata holds", "all that its fields hold")],
            "docs/security.md": [(r"Names and metadata come back", "Texts come back")],
        }
        if self.choice:
            name, first, second = self.choice.name, self.choice.example, self.choice.schema["enum"][1]
            body = json.dumps(self.make_body("A")).replace(f'"{name}": "{first}"', f'"{name}": kind')
            filters = [
                (r"\btype=A\b", f"{name}={first}"),
                (r"\btype=", f"{name}="),
                ("`type`", f"`{name}`"),
                (r'"type"', f'"{name}"'),
                (r"\bby_type\b", f"by_{name}"),
            ]
            edits |= {
                "docs/decisions/filters-and-sorts.md": filters,
                "docs/upgrading.md": filters,
                "docs/add-an-endpoint.md": [
                    (r'\["type"\]', f'["{name}"]'),
                    (r"\bby(.)type\b", f"by {name}"),
                    (r'\("A", "B", "A"\)', f'("{first}", "{second}", "{first}")'),
                    (r'\{"name": "x", "type": kind\}', body),
                    (r'\{"A": 2, "B": 1\}', f'{{"{first}": 2, "{second}": 1}}'),
                    (r"\{A: 2, B: 1\}", f"{{{first}: 2, {second}: 1}}"),
                ],
            }
        return edits.get(page, [])

    def replace_bodies(self, text: str, write: Callable[[Any], str]) -> str:
        """Return a text with a body of the new fields for each of the old ones; `write` writes it outside quotes."""

        def replace(match: re.Match[str]) -> str:
            quoted = match.string[match.start() - 1] in "'\""
            body = (json.dumps if quoted else write)(self.make_body(match[2]))
            return body.replace('"', '\\"') if match[1] else body

        return _BODY.sub(replace, text)


def _replace_members(value: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Return a document with the fields in the place of the old ones."""
    kept = [(name, part) for name, part in value.items() if name not in _OLD]
    place = list(value).index("name")
    return dict([*kept[:place], *fields.items(), *kept[place:]])


def _edit(text: str, edits: Iterable[tuple[str, str]]) -> str:
    for pattern, new in edits:
        # Not as a template, which would read the backslashes of JSON.
        text = re.sub(pattern, partial(_return, new), text, flags=re.MULTILINE)
    return text


def _return(text: str, _: re.Match[str]) -> str:
    return text


def write_literal(value: Any) -> str:
    """Return a value as Python writes it."""
    return repr(value).replace("'", '"')
