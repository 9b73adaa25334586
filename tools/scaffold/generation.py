"""Makes a new project of the starter: takes out parts, and gives the noun its name."""

import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tools.profiles import ROOT
from tools.scaffold.api import Api
from tools.scaffold.changes import Changes, ScaffoldError, format_source, report_changes
from tools.scaffold.fields import parse_fields
from tools.scaffold.first_noun import FirstNoun
from tools.scaffold.names import Noun
from tools.scaffold.parts import load_parts, remove_part
from tools.scaffold.renaming import rename_noun

_LICENCES = Path(__file__).with_name("licences")
_OWN = Noun("resource", "resources")
_README = """\
# {project_name}

A serverless HTTP API on AWS: a JWT authorizer, one Lambda function for each route, and one DynamoDB table.

## Run it

```sh
make run                  # serves the API at http://127.0.0.1:3000, without Docker or an AWS account
TOKEN=$(make -s token)    # SUB=, SCOPES= and EXPIRES= change the token
curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:3000/api/v1/{path}
make smoke                # calls every route
```

Python 3.13 and make are all it needs. `make help` lists every task. While the API runs, <http://127.0.0.1:3000/_local/docs>
describes each request and sends it, and `/_local/openapi.json` is its OpenAPI document
([run it locally](docs/local.md)).

| route | scope |
|---|---|
{routes}

## Change it

- [Add an endpoint](docs/add-an-endpoint.md): `make endpoint`.
- [Add a noun](docs/add-a-noun.md): `make noun`.
- [Leave out a part](docs/leave-out-a-part.md): `make remove`.

`make check` is the fast loop, `make test` runs everything.

## Deploy it

```sh
make build
.venv/bin/sam deploy --guided
```

Accept every default and answer `y` to the last question ([stages and quotas](docs/operations/deploy.md)).

## Where things are

| folder | |
|---|---|
| `template.yaml`, `stacks/` | the API and its nested applications |
| `functions/`, `events/` | one folder for each function, and an event to try it with |
| `layers/shared/` | the house `serverless_api` and a package for each noun |
| `models/` | request and response models |
| `tests/` | unit, contract, API and security tests |
| `docs/` | how to run, change, deploy and operate it |
"""


def generate_project(project: Path, answers: Mapping[str, str]) -> list[str]:
    """Make the project that the answers describe; return what to do next.

    Raises:
        ScaffoldError: an answer cannot be used.
    """
    name, slug = answers["project_name"], answers["project_slug"]
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,99}", slug):
        raise ScaffoldError(f"{slug} cannot name a stack: use letters, digits and hyphens, and begin with a letter.")
    noun = Noun.parse(answers["noun"], answers["plural"])
    first = FirstNoun(noun, parse_fields(answers["fields"])) if answers["fields"] else None
    parts = load_parts()
    for part in parts:
        for other in parts[part].after:
            if answers[part] == "no" != answers[other]:
                raise ScaffoldError(f"{other}=yes needs {part}=yes: it builds on {part}.")
    # Those that others need go last.
    for part in sorted(parts, key=lambda part: len(parts[part].after)):
        if answers[part] == "no":
            remove_part(project, part)
    if noun != _OWN:
        rename_noun(project, _OWN, noun)
    changes = Changes(project)
    if first:
        first.replace_fields(changes)
    _name_project(changes, name, slug, noun)
    _write_licence(changes, name, answers["licence"])
    changes.write()
    for file in ("generation.py", "renaming.py", "first_noun.py", "pieces/first_package.py.txt"):
        (Path(__file__).parent / file).unlink()
    shutil.rmtree(_LICENCES)
    first_steps = "make run" if format_source(project, [project]) else "make format && make run"
    return [f"{name} is ready: cd {slug} && {first_steps}"]


def _name_project(changes: Changes, name: str, slug: str, noun: Noun) -> None:
    """Give the stacks and the documentation the project's name."""
    stacks = ("deploy.md", "continuous-integration.md")
    for file in ("pyproject.toml", "samconfig.toml", *(f"docs/operations/{page}" for page in stacks)):
        changes.edit(file, "serverless-api", slug)
    title = json.dumps(name, ensure_ascii=False)
    changes.edit("template.yaml", r"(?<=\{title: )[^,]+", lambda _: title)
    written = title[1:-1]
    changes.edit("tools/documentation/conf.py", "Serverless API", lambda _: written)
    changes.edit(".devcontainer/devcontainer.json", "serverless API", lambda _: written)
    changes.create(
        "README.md", _README.format(project_name=_escape(name), path=noun.words["path"], routes=_list_routes(changes))
    )


def _list_routes(changes: Changes) -> str:
    """Return a row for each path and scope of the HTTP API."""
    methods: dict[tuple[str, str], list[str]] = {}
    for route in Api(changes).routes:
        methods.setdefault((route.path, route.scopes[0]), []).append(f"`{route.method}`")
    return "\n".join(f"| {', '.join(each)} `{path}` | `{scope}` |" for (path, scope), each in methods.items())


def _escape(name: str) -> str:
    """Return a text that Markdown shows unchanged."""
    return re.sub(r"([\\`*_\[\]<>#|&~])", r"\\\1", name)


def _write_licence(changes: Changes, name: str, licence: str) -> None:
    known = "All rights reserved" if licence == "proprietary" else licence
    changes.edit("template.yaml", r"license: \{name: MIT-0\}", f"license: {{name: {known}}}")
    if licence != "proprietary":
        terms = (_LICENCES / f"{licence}.txt").read_text(encoding="utf-8")
        changes.create("LICENSE", terms.format(holder=f"the contributors of {name}"))


def main() -> int:
    """Read the answers as JSON from the standard input; return 2 if they cannot be used."""
    answers = json.loads(sys.stdin.read())
    return report_changes(lambda: _name_questions(answers))


def _name_questions(answers: Mapping[str, str]) -> list[str]:
    """Make the project; an error speaks of the question in place of the setting of `make noun`."""
    try:
        return generate_project(ROOT, answers)
    except ScaffoldError as error:
        said = str(error)
        for setting, question in (("NAME=", "noun="), ("PLURAL=", "plural="), ("FIELDS", "fields")):
            said = said.replace(setting, question)
        raise ScaffoldError(said) from error


if __name__ == "__main__":
    raise SystemExit(main())
