"""Commands that write code: wrong input gets one sentence and writes nothing. Blocks of YAML are edited as text."""

import os
import re
import subprocess

import pytest

from tests.support.stack import ROOT
from tools.scaffold import first_noun, parts
from tools.scaffold.blocks import Blocks
from tools.scaffold.changes import Changes, ScaffoldError
from tools.scaffold.endpoint import add_endpoint
from tools.scaffold.fields import parse_fields
from tools.scaffold.first_noun import FirstNoun, write_literal
from tools.scaffold.names import Noun
from tools.scaffold.noun import add_noun
from tools.scaffold.parts import remove_unused_imports
from tools.scaffold.renaming import IN_TEMPLATES, rename_text
from tools.scaffold.starter import edit_copy, read_plan

FIELDS = "title:text"


@pytest.fixture(autouse=True)
def nothing_is_written(monkeypatch):
    monkeypatch.setattr(Changes, "write", lambda _: pytest.fail("it would write"))


@pytest.mark.parametrize(
    ("name", "method", "path", "said"),
    [
        ("", "GET", "/api/v1/resources/types", "Set NAME= to a name such as archive_invoice."),
        ("Archive", "GET", "/api/v1/resources/types", "NAME=Archive is not a name in snake case"),
        ("../x", "GET", "/api/v1/resources/types", "NAME=../x is not a name in snake case"),
        ("class", "GET", "/api/v1/resources/types", "NAME=class is a reserved word"),
        ("get_resource", "GET", "/api/v1/resources/types", "template.yaml has GetResource already"),
        ("function_boundary", "GET", "/api/v1/resources/types", "template.yaml has FunctionBoundary already"),
        ("rotate_client_secret", "GET", "/api/v1/resources/types", "functions/rotate_client_secret/app.py exists"),
        ("count_types", "", "/api/v1/resources/types", "Set METHOD= to one of GET, POST"),
        ("count_types", "TRACE", "/api/v1/resources/types", "METHOD=TRACE is not one of GET, POST"),
        ("count_types", "PATCH", "/api/v1/resources/types", "METHOD=PATCH is not one of GET, POST"),
        ("count_types", "GET", "", "Set PATH= to a route such as"),
        ("count_types", "GET", "/resources/types", "PATH=/resources/types is not a route such as"),
        ("count_types", "GET", "/api/v1/Types", "PATH=/api/v1/Types is not a route such as"),
        ("count_types", "GET", "/api/v1/types/", "PATH=/api/v1/types/ is not a route such as"),
        ("count_types", "GET", "/api/v1/resources", "GET /api/v1/resources is the route of ListResources already."),
        ("count_types", "GET", "/api/v1/resources/{key}", "may have one parameter, {id}"),
        ("count_types", "GET", "/api/v1/{id}", "must name a noun in front of {id}"),
        (
            "count_types",
            "GET",
            "/api/v1/imports/{id}/lines",
            "No noun of layers/shared has the path /api/v1/imports/{id}",
        ),
        ("count_types", "DELETE", "/api/v1/resources", "METHOD=DELETE needs a route that names an item"),
    ],
)
def test_a_wrong_endpoint(name, method, path, said):
    with pytest.raises(ScaffoldError) as error:
        add_endpoint(ROOT, name, method, path)
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "plural", "fields", "said"),
    [
        ("", "", FIELDS, "Set NAME= to a name such as invoice."),
        ("Invoice", "", FIELDS, "NAME=Invoice is not a name in snake case"),
        ("import", "", FIELDS, "NAME=import is a reserved word"),
        ("record", "", FIELDS, "PLURAL=records is a reserved word"),
        ("resource", "", FIELDS, "The API has routes below /api/v1/resources already"),
        ("codec", "", FIELDS, "codecs is a module of Python"),
        ("sheep", "sheep", FIELDS, "and its plural are the same word"),
        ("invoice", "", "", "Set FIELDS= to the fields and their types"),
        ("invoice", "", "title", "FIELDS: title has no type"),
        ("invoice", "", "title:money", "FIELDS: title:money has an unknown type; use text, integer"),
        ("invoice", "", "id:text", "FIELDS: id is a name of the house's own"),
        ("invoice", "", "due_date:date", "FIELDS: due_date is not a name in camel case"),
        ("invoice", "", "a:text a:date", "FIELDS names a twice."),
        ("invoice", "", "a?:text", "FIELDS needs a field without ?"),
        ("invoice", "", "a:boolean b?:x|y", "FIELDS needs more than booleans and choices, such as a text"),
        ("invoice", "", "a:x|x", "must list different choices"),
        ("invoice", "", "a:x|", "must list different choices"),
    ],
)
def test_a_wrong_noun(name, plural, fields, said):
    with pytest.raises(ScaffoldError) as error:
        add_noun(ROOT, Noun.parse(name, plural), parse_fields(fields))
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def run_make(*settings):
    command = ["make", "--silent", "--old-file=.venv/run", "--old-file=.venv/dev", *settings]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("setting", ["PATH", "ROUTE"])
def test_make_takes_the_path_of_a_route_as_it_is(setting):
    done = run_make("endpoint", "NAME=x", "METHOD=get", f"{setting}=/api/v1/$HOME/`id`")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("PATH=/api/v1/$HOME/`id` is not a route such as /api/v1/invoices/{id}/archive: ")


def test_make_passes_the_fields_of_a_noun():
    done = run_make("noun", "NAME=invoice", "FIELDS=status:a|b total:$money")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("FIELDS: total:$money has an unknown type")


YAML = """\
# The file.
A:
  # Of one.
  one: {x: 1}

  # ---------------- more
  # Of two.
  "two":
    - a

    - b
  # Of three.
  three: 3

B:
  one: 1
"""


def test_a_block_is_found_whole():
    blocks = Blocks(YAML)
    assert list(blocks.list_keys("A")) == ["one", "two", "three"]
    assert blocks.read("A", "two") == '  "two":\n    - a\n\n    - b\n'
    assert blocks.has("B", "one")
    assert not blocks.has("B", "two")


def test_a_block_goes_with_its_comments_and_without_the_heading_above_them():
    blocks = Blocks(YAML)
    blocks.remove("A", "two")
    assert blocks.text == YAML.replace('  # Of two.\n  "two":\n    - a\n\n    - b\n', "")


def test_lines_are_inserted_below_a_block():
    blocks = Blocks(YAML)
    blocks.insert_after(("A", "one"), "  new: 1")
    blocks.insert_after(("A",), "  last: 1")
    assert blocks.text == YAML.replace("{x: 1}\n", "{x: 1}\n  new: 1\n").replace("three: 3\n", "three: 3\n  last: 1\n")


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ('Path: /api/v1/resources, "read:resources", resources/read', 'Path: /api/v1/boxes, "read:boxes", boxes/read'),
        ("from resources import resources", "from boxes import boxes"),
        ("from tests.unit.resources.test_list import walk", "from tests.unit.boxes.test_list import walk"),
        ("CreateResource, listResources, get_resource, ResourceInput", "CreateBox, listBoxes, get_box, BoxInput"),
        ("            Resource: {Fn::Transform: {}}", "            Box: {Fn::Transform: {}}"),
        ("Resources:\n  A: 1\n", None),
        (r'text.partition("\nResources:\n")', None),
        ("{Effect: Allow, Action: x, Resource: !GetAtt Table.Arn}", None),
        ('statement["Resource"], template["Resources"], stack.resources', None),
        ("Type: AWS::Cognito::UserPoolResourceServer, ResourceServer, cloudformation:ListStackResources", None),
        ("translate_stack().resources[name]", None),
    ],
)
def test_the_noun_is_renamed_and_awss_words_are_not(text, renamed):
    assert rename_text(text, Noun("resource", "resources"), Noun("box", "boxes")) == (renamed or text)


def test_a_module_that_reads_templates_keeps_awss_word_and_gets_the_noun_in_routes():
    text = 'for resource in translate_stack().resources: send(f"/api/v1/resources/{resource}", resources)'
    renamed = text.replace("v1/resources", "v1/boxes")
    assert rename_text(text, Noun("resource", "resources"), Noun("box", "boxes"), IN_TEMPLATES) == renamed


BODIES = """\
sent = {"name": "thing", "type": "A"}
other = {"name": "thing", "type": "B", "metadata": {"size": 1}}
text = '{"name":"x","type":"A"}'
kept = f'{{"name": "x", "type": "A"}}', {"name": "x", "size": 1}
"""
OWN_BODIES = """\
sent = {"total": 12.5, "paid": True}
other = {"total": 17.25, "paid": False}
text = '{"total": 12.5, "paid": true}'
kept = f'{{"name": "x", "type": "A"}}', {"name": "x", "size": 1}
"""


def test_bodies_get_the_fields_of_the_project():
    first = FirstNoun(Noun("bill", "bills"), parse_fields("total:decimal paid:boolean"))
    assert first.replace_bodies(BODIES, write_literal) == OWN_BODIES


@pytest.fixture
def changes(monkeypatch):
    """This project's files, in memory. The formatter would take most of the time."""
    for module in (first_noun, parts):
        monkeypatch.setattr(module, "format_source", lambda text: text)
    return Changes(ROOT)


@pytest.mark.parametrize("fields", ["items:list status:draft|sent|paid note?:text", "flag:boolean due:date"])
def test_no_file_keeps_the_fields_of_this_project(changes, fields):
    FirstNoun(Noun("resource", "resources"), parse_fields(fields)).replace_fields(changes)
    old = re.compile(r'by_type|AttributeName: type\b|"type\\*": ?\\*"[ABC]\b')
    files = [
        name
        for folder in ("stacks", "models", "events", "examples", "functions", "layers")
        for name in changes.list_files(folder, "*.*")
    ]
    assert [name for name in ("template.yaml", *files) if old.search(changes.read(name))] == []
    assert "example_fields" not in changes.read("pyproject.toml")
    assert not changes.exists("tests/unit/resources/test_create.py")
    assert "example_fields" not in changes.read("tests/unit/resources/test_list.py")


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("template.yaml", "by_type", "by_kind", r"Nothing in template.yaml matches '\\bby_type\\b'."),
        ("pyproject.toml", "example_fields", "old_fields", "Nothing in pyproject.toml matches"),
        (
            "tests/unit/resources/test_list.py",
            "@pytest.mark.example_fields",
            "example = [pytest.mark.example_fields]",
            "test_list.py: the marker example_fields stands neither at a test function nor in pytestmark.",
        ),
    ],
)
def test_words_that_the_fields_are_not_found_in(changes, file, old, new, said):
    changes.replace(file, changes.read(file).replace(old, new))
    with pytest.raises(ScaffoldError) as error:
        FirstNoun(Noun("resource", "resources"), parse_fields("title:text status:draft|sent")).replace_fields(changes)
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_everything_that_the_starter_changes_is_there(changes):
    plan = read_plan()
    assert [name for name in plan["left_out"] if not (ROOT / name).exists()] == []
    edit_copy(changes, plan)


@pytest.mark.parametrize(
    ("kind", "wrong", "said"),
    [
        ("targets", "no-such-target", "starter.toml: the Makefile has no target no-such-target."),
        ("entries", ["Makefile", '"none"'], 'starter.toml: Makefile has no entry "none".'),
        ("edits", ["Makefile", "none of this", ""], "Nothing in Makefile matches 'none of this'."),
    ],
)
def test_what_the_starter_cannot_change_is_named(changes, kind, wrong, said):
    with pytest.raises(ScaffoldError) as error:
        edit_copy(changes, {"left_out": [], "targets": [], "entries": [], "edits": [], kind: [wrong]})
    assert str(error.value) == said


def test_imports_that_nothing_uses_go_and_fixtures_stay():
    source = "import json\nimport re\nfrom a import b, c\nfrom d import e\n\n\ndef test(e):\n    c(re)\n"
    expected = "import re\nfrom a import c\nfrom d import e\n\n\ndef test(e):\n    c(re)\n"
    assert remove_unused_imports(source) == expected
