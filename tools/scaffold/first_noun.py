"""Gives the noun of a new project its own fields, in place of `name`, `type` and `metadata`.

A field of choices takes the place of `type`: lists and searches filter by it. Tests about the fields that are gone go
too.
"""

import ast
import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from tools.scaffold.api import correct_length, dump_model
from tools.scaffold.changes import Changes, ScaffoldError
from tools.scaffold.fields import Field, make_example
from tools.scaffold.names import Noun
from tools.scaffold.noun import fill_piece, find_words, make_models, read_piece
from tools.scaffold.pages import remove_from_pages
from tools.scaffold.parts import remove_test

_OLD = ("name", "type", "metadata")
_KINDS = ("A", "B", "C")
_MARKER = "example_fields"
"""The marker of pytest on tests of what the old fields may hold."""
_TEMPLATE, _PARAMETERS = "template.yaml", "models/openapi/parameters.json"
_FILTERS = "docs/decisions/filters-and-sorts.md"
# A body of the old fields, as Python and JSON write it.
_BODY = re.compile(
    r'(?<!\{)\{\s*(\\?)"name\1": ?\1"[^"\\]*\1", ?\1"type\1": ?\1"([ABC])\1"(?:, ?\1"metadata\1": ?\{[^{}\']*\})?\s*\}'
)


class _Edit(NamedTuple):
    """What a file that has it must match; a part that is left out takes its files along."""

    file: str
    pattern: str
    new: str


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

    def replace_fields(self, changes: Changes) -> None:
        """Write the noun's fields wherever the old ones stand.

        Raises:
            ScaffoldError: a file has other words than this module was written for.
        """
        parameters = json.loads(changes.read(_PARAMETERS)).values()
        queries = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
        # Lists filter by it, so its name becomes that of a query parameter.
        if self.choice and self.choice.name in queries - set(_OLD):
            raise ScaffoldError(
                f"FIELDS: lists have a query parameter {self.choice.name} already; choose another name."
            )
        self._replace_models(changes)
        self._replace_package(changes)
        self._replace_documents(changes)
        self._remove_tests(changes)
        self._edit_texts(changes)

    def _remove_tests(self, changes: Changes) -> None:
        """Remove the marked tests, and write one of the new fields."""
        gone = []
        for file in list(changes.list_files("tests", "*.py")):
            if _MARKER not in changes.read(file):
                continue
            tree = ast.parse(changes.read(file))
            if any(isinstance(node, ast.Assign) and _is_marked(node) and _names_marks(node) for node in tree.body):
                changes.remove(file)
                gone.append(file)
                continue
            for node in tree.body:
                if isinstance(node, ast.FunctionDef) and any(map(_is_marked, node.decorator_list)):
                    remove_test(changes, file, node.name)
            if _is_marked(ast.parse(changes.read(file))):
                raise ScaffoldError(
                    f"{file}: the marker {_MARKER} stands neither at a test function nor in pytestmark."
                )
        remove_from_pages(changes, gone, [])
        changes.edit("pyproject.toml", rf'^    "{_MARKER}: .*\n', "")
        test = fill_piece(read_piece("test_api.py.txt"), self.words)
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
        changes.replace(f"layers/shared/{self.words['things']}/__init__.py", text)

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

    def _edit_texts(self, changes: Changes) -> None:
        """Edit what names the old fields, and replace their bodies in templates, pages, code and tests."""
        for file, pattern, new in (*self._list_edits(), *self._list_filter_edits(changes)):
            # Not as a template, which would read the backslashes of JSON.
            changes.edit(file, pattern, partial(_return, new))
        pages = (name for folder in ("docs", "examples") for name in changes.list_files(folder, "*.md"))
        for file in (_TEMPLATE, *pages):
            changes.replace(file, self.replace_bodies(changes.read(file), json.dumps))
        folders = ("functions", "layers", "examples", "tests")
        sources = (name for folder in folders for name in changes.list_files(folder, "*.py"))
        for file in (*sources, "tools/seed.py"):
            text = changes.read(file)
            edited = self.replace_bodies(text, write_literal)
            if edited != text:
                changes.replace(file, edited)

    def _list_edits(self) -> Iterable[_Edit]:
        patch = json.dumps({self.label: self.make_body("B")[self.label]})
        yield _Edit("docs/decisions/merge-patch.md", r'\{"name": "New name", .*?\}\}', patch)
        field = f'fields["{self.label}"]'
        yield _Edit("functions/answer_question/answers.py", r'(?<=source\.entity\.)fields\["name"\]', field)

    def _list_filter_edits(self, changes: Changes) -> Iterable[_Edit]:
        """Yield the edits that have the field of choices take the place of `type`, or remove the filter."""
        searches = "VectorIndexes:" in changes.read(_TEMPLATE)
        if self.choice is None:
            yield _Edit(_PARAMETERS, r'^  "Filter": \{\n(?:    .*\n)+  \},\n', "")
            yield _Edit(_TEMPLATE, r',\s*\{\$ref: "#/components/parameters/Filter"\}', "")
            yield _Edit(_TEMPLATE, r"^ +- \{AttributeName: by_type, .*\n", "")
            yield _Edit(_TEMPLATE, r"^ +- \{IndexName: by_type, .*\n.*\n", "")
            yield _Edit(
                _TEMPLATE, r"\{ProjectionType: INCLUDE, NonKeyAttributes: \[type\]\}", "{ProjectionType: KEYS_ONLY}"
            )
            yield _Edit(_TEMPLATE, r'!Sub "\$\{Table.Arn\}/index/by_type", ', "")
            if searches:
                yield _Edit(_TEMPLATE, r"^ +- !If \[Searches, \{AttributeName: type, .*\n", "")
                yield _Edit(_TEMPLATE, r", \{AttributeName: type, SearchSchemaElementType: INLINE_FILTER\}", "")
            note = "\n\nThis project declares no filter; `type` stands for any field of choices."
            yield _Edit("docs/upgrading.md", r"(?<=so lists) with `type` or(?= sorted)", "")
            yield _Edit(_FILTERS, r"(?<=: a noun declares what its lists offer\.)$", note)
            return
        name, choices = self.choice.name, self.choice.schema["enum"]
        yield _Edit(_PARAMETERS, r'"name": "type"', f'"name": "{name}"')
        yield _Edit(_PARAMETERS, r"\bof this type\b", f"of this {name}")
        yield _Edit(_PARAMETERS, r'"enum": \["A", "B", "C"\]', f'"enum": {json.dumps(choices)}')
        yield _Edit(_TEMPLATE, r"\bby_type\b", f"by_{name}")
        yield _Edit(_TEMPLATE, r"NonKeyAttributes: \[type\]", f"NonKeyAttributes: [{name}]")
        if searches:
            yield _Edit(_TEMPLATE, r"AttributeName: type\b", f"AttributeName: {name}")
        yield _Edit(_FILTERS, r"\btype=A\b", f"{name}={choices[0]}")
        yield _Edit(_FILTERS, r"\btype=", f"{name}=")
        yield _Edit(_FILTERS, r'"type"', f'"{name}"')
        yield _Edit(_FILTERS, r"\banother type\b", f"another {name}")
        for page in (_FILTERS, "docs/upgrading.md"):
            yield _Edit(page, "`type`", f"`{name}`")
            yield _Edit(page, r"\bby_type\b", f"by_{name}")

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


def _is_marked(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr == _MARKER for part in ast.walk(node))


def _names_marks(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)


def _return(text: str, _: re.Match[str]) -> str:
    return text


def write_literal(value: Any) -> str:
    """Return a value as Python writes it."""
    return repr(value).replace("'", '"')
