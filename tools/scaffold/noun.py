"""`make noun`: writes a new noun's models, package, functions, template blocks, operations, events and tests."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from tools.command_parser import CommandParser
from tools.profiles import ROOT
from tools.scaffold.api import EXAMPLE_ID, PREFIX, Api, dump_model, make_event, make_function
from tools.scaffold.changes import Changes, ScaffoldError, report_changes
from tools.scaffold.fields import Field, make_example, parse_fields
from tools.scaffold.names import Noun, make_plural

_PIECES = Path(__file__).parent / "pieces"
# The time that EXAMPLE_ID holds.
_CREATED = "2025-11-23T12:47:41.118Z"
_SCOPES = ("read", "write")
_SEED = "examples/resources.json"


class _Piece(Template):
    """A file with `~thing` for a spelling of the noun: the project's files are full of dollar signs."""

    delimiter = "~"


class _Function(NamedTuple):
    verb: str
    method: str
    actions: Sequence[str]
    description: str

    def name(self, words: Mapping[str, str]) -> str:
        return f"{self.verb}_{words['things' if self.verb == 'list' else 'thing']}"

    def path(self, words: Mapping[str, str]) -> str:
        return f"{PREFIX}{words['path']}{'' if self.verb in {'list', 'create'} else '/{id}'}"


_FUNCTIONS = (
    _Function("list", "GET", ["dynamodb:Query"], "Lists the caller's ~words, newest first"),
    _Function(
        "create",
        "POST",
        ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"],
        "Creates ~a_word, once for each Idempotency-Key",
    ),
    _Function("get", "GET", ["dynamodb:GetItem"], "Returns ~a_word"),
    _Function("update", "PUT", ["dynamodb:UpdateItem"], "Replaces the fields of ~a_word"),
    _Function("patch", "PATCH", ["dynamodb:GetItem", "dynamodb:UpdateItem"], "Changes some fields of ~a_word"),
    _Function("delete", "DELETE", ["dynamodb:UpdateItem"], "Deletes ~a_word"),
)


def add_noun(project: Path, noun: Noun, fields: Sequence[Field]) -> list[str]:
    """Write a noun; return what was changed and what is left to decide.

    Args:
        project: the folder of the project.
        noun: the noun.
        fields: its fields.

    Raises:
        ScaffoldError: the noun, or a name that follows from it, is taken.
    """
    words = find_words(noun, fields)
    changes = Changes(project)
    api = Api(changes)
    if words["thingsKey"] in {"count", "nextToken"}:
        raise ScaffoldError(f"NAME={noun.singular} is taken: each page has a member {words['thingsKey']} already.")
    if any(route.segment == words["path"] for route in api.routes):
        raise ScaffoldError(f"The API has routes below {PREFIX}{words['path']} already; choose another NAME=.")
    if changes.exists(f"layers/shared/{noun.plural}"):
        raise ScaffoldError(f"layers/shared/{noun.plural} exists; choose another NAME=.")
    for name, model in make_models(words, fields).items():
        changes.create(f"models/{name}.json", dump_model(model))
        api.add_schema(name)
    _add_code(changes, api, words, fields)
    api.add_tag(words["path"], f"The calling user's {words['words']}")
    api.add_scope(f"read:{words['path']}", f"List and read {words['words']}")
    api.add_scope(f"write:{words['path']}", f"Create, change and delete {words['words']}")
    api.add_paths(fill_piece(read_piece("paths.yaml.txt"), words))
    api.save()
    _add_default_scopes(changes, words)
    _add_examples(changes, words, fields)
    return [*changes.write(), "", *_list_decisions(words)]


def find_words(noun: Noun, fields: Sequence[Field]) -> dict[str, str]:
    """Return the words that the pieces of a noun are filled with."""
    words = noun.words
    return words | {
        "plural": "" if noun.plural == f"{noun.singular}s" else f', plural="{words["words"]}"',
        "required": next(field.name for field in fields if field.required),
        "cleared": ", and null removes an optional field" if any(not field.required for field in fields) else "",
    }


def make_models(words: Mapping[str, str], fields: Sequence[Field]) -> dict[str, dict[str, Any]]:
    """Return the models of a noun by their names: an item, the body that writes it, a patch and a page."""
    thing, required = words["Thing"], [field.name for field in fields if field.required]
    times = {"createdAt": _CREATED, "updatedAt": _CREATED}
    example = {"id": EXAMPLE_ID, **make_example(fields), **times}
    identity = {"type": "string", "description": "IDs sort by time of creation (UUID version 7).", "format": "uuid"}
    instant = {"type": "string", "format": "date-time"}
    item = {
        "type": "object",
        "description": f"{words['a_word'].capitalize()} of the calling user.",
        "required": ["id", *required, *times],
        "additionalProperties": False,
        "example": example,
        "properties": {
            "id": identity,
            **{field.name: dict(field.schema) for field in fields},
            **dict.fromkeys(times, instant),
        },
    }
    request = {
        "type": "object",
        "description": f"What a caller writes of {words['a_word']}.",
        "required": required,
        "additionalProperties": False,
        "properties": {field.name: field.as_input for field in fields},
    }
    changes_of = f"Changes of {words['a_word']} as a JSON Merge Patch (RFC 7396)"
    patch = {
        "type": "object",
        "description": f"{changes_of}: what is left out stays{words['cleared']}.",
        "additionalProperties": False,
        "properties": {field.name: field.as_patch for field in fields},
    }
    key = words["thingsKey"]
    token = "Pagination token of the next page; absent on the last page."  # noqa: S105 - a description
    page = {
        "type": "object",
        "description": f"Some of the caller's {words['words']}, newest first.",
        "required": [key, "count"],
        "additionalProperties": False,
        "example": {key: [example], "count": 1},
        "properties": {
            key: {"type": "array", "items": {"$ref": f"#/components/schemas/{thing}"}},
            "count": {"type": "integer", "minimum": 0, "maximum": 100},
            "nextToken": {"type": "string", "description": token},
        },
    }
    return {thing: item, f"{thing}Input": request, f"{thing}Patch": patch, f"{thing}Page": page}


def _add_code(changes: Changes, api: Api, words: Mapping[str, str], fields: Sequence[Field]) -> None:
    changes.create(f"layers/shared/{words['things']}/__init__.py", fill_piece(read_piece("package.py.txt"), words))
    scopes = [f"{action}:{words['path']}" for action in _SCOPES]
    for function in _FUNCTIONS:
        name, path = function.name(words), function.path(words)
        api.check_function(name)
        scope = scopes[0 if function.method == "GET" else 1]
        description = fill_piece(function.description, words)
        block = make_function(name, f"{function.method} {path}", scope, description, function.actions)
        api.add_function(name, words["path"], block)
        changes.create(f"functions/{name}/app.py", fill_piece(read_piece(f"{function.verb}.py.txt"), words))
        other = make_example(fields, other=True)
        body = {"POST": make_example(fields), "PUT": other, "PATCH": other}.get(function.method)
        more: dict[str, Any] = {}
        if function.verb == "list":
            more = {"rawQueryString": "limit=20", "queryStringParameters": {"limit": "20"}}
        elif function.verb == "create":
            more = {"headers": {"idempotency-key": f"5f1c0b0e-first-{words['path']}"}}
        changes.create(f"events/{name}.json", make_event(function.method, path, scopes, body, **more))
    changes.create(f"tests/api/test_{words['things']}.py", fill_piece(read_piece("test_api.py.txt"), words))


def _add_default_scopes(changes: Changes, words: Mapping[str, str]) -> None:
    """Let `make token` ask for the noun's scopes too."""
    scopes = " ".join(f"{action}:{words['path']}" for action in _SCOPES)
    text = changes.read("Makefile")
    changes.replace("Makefile", re.sub(r"^(SCOPES \?= .+)$", rf"\1 {scopes}", text, flags=re.MULTILINE))


def _add_examples(changes: Changes, words: Mapping[str, str], fields: Sequence[Field]) -> None:
    """Give the user of the example data an item of the noun."""
    seed = json.loads(changes.read(_SEED))
    values = {"pk": "user#demo", "sk": f"{words['word']}#{EXAMPLE_ID}"}
    values |= {field.name: field.store(field.example) for field in fields}
    values |= {"createdAt": _CREATED, "updatedAt": _CREATED, "version": "0" * 16}
    item = {name: {"S": value} for name, value in values.items()}
    seed["Table"].append({"PutRequest": {"Item": item}})
    changes.replace(_SEED, json.dumps(seed, indent=2, ensure_ascii=False) + "\n")


def _list_decisions(words: Mapping[str, str]) -> list[str]:
    decisions = [
        f"The plural {words['things']}: if PLURAL= was not set, it is the regular one.",
        f"models/{words['Thing']}Input.json: the limits and the description of each field.",
        f"layers/shared/{words['things']}/__init__.py: rules of the noun's own, as hooks of its Collection.",
        "template.yaml, x-scopes, and stacks/identity.yaml: who may read and who may write.",
        f"tests/api/test_{words['things']}.py: what these rules do.",
    ]
    return ["Left to decide:", *(f"- {decision}" for decision in decisions), "Then run `make check`."]


def read_piece(piece: str) -> str:
    """Return the text of a file of `pieces`."""
    return (_PIECES / piece).read_text(encoding="utf-8")


def fill_piece(text: str, words: Mapping[str, str]) -> str:
    """Return a piece with each `~word` replaced."""
    return _Piece(text).substitute(words)


def main() -> int:
    """Write the noun of the command line; return 2 if it cannot be."""
    parser = CommandParser(prog="make noun", description=__doc__)
    parser.add_argument("--name", default="", help="the noun in the singular and in snake case")
    parser.add_argument("--plural", default="", help=f"its plural, if it is not as in {make_plural('category')}")
    parser.add_argument("--fields", default="", help='such as "total:decimal status:draft|sent|paid note?:text"')
    options = parser.parse_args()
    return report_changes(
        lambda: add_noun(ROOT, Noun.parse(options.name, options.plural), parse_fields(options.fields))
    )


if __name__ == "__main__":
    raise SystemExit(main())
