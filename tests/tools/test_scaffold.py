"""Commands that write code: wrong input gets one sentence and writes nothing. Blocks of YAML are edited as text."""

import gzip
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import botocore
import pytest

from tests.support.stack import ROOT
from tools.scaffold import starter
from tools.scaffold.blocks import Blocks
from tools.scaffold.changes import Changes, ScaffoldError, format_source
from tools.scaffold.endpoint import add_endpoint
from tools.scaffold.fields import parse_fields
from tools.scaffold.first_noun import FirstNoun, write_literal
from tools.scaffold.names import Noun
from tools.scaffold.noun import add_noun
from tools.scaffold.parts import load_parts, remove_unused_imports
from tools.scaffold.renaming import COMPOUND, IN_TEMPLATES, OWN_COMPOUND, rename_noun, rename_text
from tools.scaffold.starter import build_starter, edit_copy, read_plan

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
        ('"aws:ResourceTag/stage", cloudformation:DescribeStackResources, budgets:UntagResource', None),
        ("<StackResourceSummaries>, boto3.resource, resourcePath, cloudformation:ListResources", None),
        ('{"httpMethod": "GET", "resource": "/users/{subject}"}, event.get("resource")', None),
        ("the resource server, a custom resource, the one resource\npolicy, all AWS resources", None),
        ("def test_a_region_without_a_resource_type_is_refused(): ...", None),
        ('{"resource": {"id": 1}}, each resource', '{"box": {"id": 1}}, each box'),
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
def changes():
    """This project's files, in memory."""
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


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """The starter's copy of this project, without the wheel of the engine."""
    target = tmp_path_factory.mktemp("starter")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starter, "_build_engine", lambda *_: None)
        build_starter(ROOT, target)
    return target / "{{cookiecutter.project_slug}}"


ANSWERS = {
    "project_name": 'Bob\'s "Gadget" Böard <Co>',
    "project_slug": "gadgets",
    "noun": "gadget",
    "plural": "gadgets",
    "fields": "title:text status:a|b",
    "licence": "MIT",
    **dict.fromkeys(load_parts(), "yes"),
}


def run_module(project: Path, module: str, *options: str, text: str = "") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-B", "-m", f"tools.scaffold.{module}", *options]
    return subprocess.run(
        command, cwd=project, env=environment, input=text, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.fixture(scope="module")
def project(template) -> Path:
    """A new project with a noun and fields that nothing else is called."""
    project = Path(shutil.copytree(template, template.parent / "project"))
    done = run_module(project, "generation", text=json.dumps(ANSWERS))
    assert done.returncode == 0, done.stderr
    return project


def read_texts(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in {".py", ".json", ".yaml", ".md", ".toml"}:
            yield path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8")


SERVICES = "apigateway apigatewayv2 budgets cloudformation cognito-idp dynamodb events lambda logs secretsmanager xray"


def find_awss_names() -> set[str]:
    """The names of AWS's APIs that have the word in them."""
    data, names = Path(botocore.__file__).parent / "data", set()
    for service in SERVICES.split():
        model = max((data / service).rglob("service-2.json.gz"))
        names |= set(re.findall(r'"(\w*[Rr]esource\w*)"', gzip.decompress(model.read_bytes()).decode()))
    return names


# Names of AWS that its APIs lack, and names of operations that AWS has too.
OTHER_NAMES = {"ResourceNotFoundError", "UserPoolResourceServer", "ResourceProperties", "ListStackResourcesResponse"}
OTHER_NAMES |= {"ResourcePath", "resourcePath"}
SHARED_NAMES = {"CreateResource", "GetResource", "ListResources", "UpdateResource", "DeleteResource"}


def test_each_compound_is_the_nouns_or_awss(template):
    known = find_awss_names() | OTHER_NAMES
    unknown = {
        (name, found)
        for name, text in read_texts(template)
        if not name.startswith("tools/scaffold/")
        for found in COMPOUND.findall(text)
        if not OWN_COMPOUND.fullmatch(found) and not any(part in known for part in (found, found.removeprefix("_")))
    }
    assert unknown == set(), "add it to OWN_COMPOUND if it is the noun's, or here if it is AWS's"


def test_no_name_of_aws_is_renamed(project):
    known = find_awss_names() - SHARED_NAMES - {"Resource", "Resources"}
    spelled = re.compile(r"\w*Gadget\w*|\w*gadgets?[A-Z]\w*")
    names = {found for _, text in read_texts(project) for found in spelled.findall(text)}
    assert "CreateGadget" in names
    assert {
        name for name in names if name.replace("Gadget", "Resource").replace("gadget", "resource") in known
    } == set()


def test_no_page_or_comment_gives_awss_resources_the_name_of_the_noun(project):
    senses = re.compile(
        r"\b(?:boto3|AWS|[Cc]ustom|deleted stack|named|stack's|Requested)[\s.][^.|\n]{0,20}gadget"
        r"|\b[a-z0-9-]+:[A-Z]\w*Gadget|\b(?:CloudFormation|X-Ray|SAM)\b[^.|\n]{0,40}\bgadget"
        r"|[Gg]adgets?[\s_](?:server|polic|type)"
    )
    found = [(name, match[0]) for name, text in read_texts(project) for match in senses.finditer(text)]
    assert found == []


def test_the_gateways_events_keep_their_members(project):
    module = runpy.run_path(str(project / "layers/shared/serverless_api/http/gateway_event.py"))
    event = {"httpMethod": "GET", "resource": "/api/v1/export", "path": "/api/v1/export"}
    assert module["to_http_api_event"](event)["routeKey"] == "GET /api/v1/export"
    events = [json.loads(path.read_text(encoding="utf-8")) for path in (project / "events").glob("*.json")]
    of_rest_apis = [event for event in events if "httpMethod" in event]
    assert of_rest_apis
    assert all(event["resource"].startswith("/") for event in of_rest_apis)


def test_the_project_has_its_name(project):
    assert (project / "README.md").read_text(encoding="utf-8").startswith('# Bob\'s "Gadget" Böard \\<Co\\>\n')
    assert '{title: "Bob\'s \\"Gadget\\" Böard <Co>", ' in (project / "template.yaml").read_text(encoding="utf-8")


def test_the_hook_reads_any_answers():
    answers = {"project_name": 'a "quoted" \\ name', "fields": ""}
    source = starter._HOOK.replace("{{ cookiecutter | jsonify }}", json.dumps(answers, indent=4))
    written = re.search(r'^ANSWERS = .*?^\}"""$', source, re.MULTILINE | re.DOTALL)
    assert json.loads(eval(written[0].removeprefix("ANSWERS = "))) == answers


@pytest.mark.timeout(900)
def test_the_commands_work_in_a_new_project(project, tmp_path):
    copy = Path(shutil.copytree(project, tmp_path / "project"))
    done = [
        run_module(copy, "noun", "--name=invoice", "--fields=total:decimal"),
        run_module(copy, "endpoint", "--name=archive_gadget", "--method=POST", "--path=/api/v1/gadgets/{id}/archive"),
    ]
    # Those that others need go last.
    parts = sorted(load_parts().items(), key=lambda part: len(part[1].after))
    done += [run_module(copy, "parts", f"--part={name}") for name, _ in parts]
    assert [each.stderr for each in done] == [""] * len(done)
    assert [line for each in done for line in each.stdout.splitlines() if "template.yaml:" in line] == []
    command = [str(Path(sys.executable).with_name("cfn-lint")), "template.yaml", "stacks/*.yaml"]
    lint = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=600, check=False)
    assert lint.returncode == 0, lint.stdout


def find_what_parts_name(project: Path) -> list[tuple[str, bool]]:
    """What parts.toml names in files that are there, and whether they have it."""
    found = []
    for part in tomllib.loads((project / "tools/scaffold/parts.toml").read_text(encoding="utf-8")).values():
        names = [(file, text) for key in ("entries", "edits", "passages") for file, text, *_ in part.get(key, [])]
        names += [("template.yaml", f"\n  {block}:\n") for block in part["blocks"]]
        for file, text in names:
            path = project / file
            found.append((f"{file}: {text}", path.exists() and text in path.read_text(encoding="utf-8")))
        for file, section in part.get("sections", []):
            blocks = Blocks((project / file).read_text(encoding="utf-8"))
            found.append((f"{file}: {section}", blocks.has(*section.split("/"))))
        found += [(file, (project / file).exists()) for file in part.get("files", [])]
    return found


def test_what_removes_a_part_follows_the_noun(template, project):
    before, after = find_what_parts_name(template), find_what_parts_name(project)
    lost = [name for (_, was), (name, there) in zip(before, after, strict=True) if was and not there]
    assert lost == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.py": "path = resource\n"}, "a.py names something else path"),
        ({"test_resources.py": "", "test_paths.py": ""}, "test_paths.py exists"),
    ],
)
def test_a_noun_that_something_else_is_called(tmp_path, files, said):
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ScaffoldError, match=f"^NAME=path is taken: {said}; choose another name.$"):
        rename_noun(tmp_path, Noun("resource", "resources"), Noun("path", "paths"))


@pytest.mark.parametrize("name", ["limit", "sort", "nextToken", "q"])
def test_a_filter_that_is_called_like_another_parameter(changes, name):
    first = FirstNoun(Noun("bill", "bills"), parse_fields(f"{name}:a|b total:text"))
    with pytest.raises(ScaffoldError, match=f"^FIELDS: lists have a query parameter {name} already"):
        first.replace_fields(changes)


def test_imports_of_several_lines_are_sorted_whole(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 40\n", encoding="utf-8")
    path = tmp_path / "a.py"
    path.write_text(
        "from users import one\nfrom serverless_api import (\n    Response, Request, Preconditions\n)\n",
        encoding="utf-8",
    )
    assert format_source(tmp_path, [path])
    expected = (
        "from serverless_api import (\n    Preconditions,\n    Request,\n    Response,\n)\nfrom users import one\n"
    )
    assert path.read_text(encoding="utf-8") == expected


def test_what_the_formatter_cannot_read_is_said(tmp_path):
    (tmp_path / "a.py").write_text("def f(:\n", encoding="utf-8")
    with pytest.raises(ScaffoldError, match=r"^ruff check fails: .*a\.py") as error:
        format_source(tmp_path, [tmp_path / "a.py"])
    assert len(str(error.value).splitlines()) == 1


def test_a_part_needs_what_it_builds_on(template):
    answers = ANSWERS | {"streaming": "no", "intelligence": "yes"}
    done = run_module(template, "generation", text=json.dumps(answers))
    assert (done.returncode, done.stderr) == (2, "intelligence=yes needs streaming=yes: it builds on streaming.\n")
