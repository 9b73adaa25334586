"""`make remove`: takes a part out of the project: its blocks, files, tests, targets and paragraphs."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.command_parser import CommandParser
from tools.profiles import ROOT
from tools.scaffold.api import TEMPLATE, Api
from tools.scaffold.blocks import Blocks
from tools.scaffold.changes import Changes, ScaffoldError, report_changes
from tools.scaffold.pages import remove_from_pages, remove_passages

_LIST = Path(__file__).with_name("parts.toml")
_DASHBOARD = "stacks/operations.yaml"
_EXPORTS = "layers/shared/serverless_api/__init__.py"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the project that can be left out; parts.toml explains each attribute."""

    title: str
    blocks: Sequence[str]
    stacks: Sequence[str] = ()
    sections: Sequence[tuple[str, str]] = ()
    parameters: Sequence[str] = ()
    conditions: Sequence[str] = ()
    files: Sequence[str] = ()
    targets: Sequence[str] = ()
    widgets: Sequence[str] = ()
    tests: Sequence[str] = ()
    entries: Sequence[tuple[str, str]] = ()
    edits: Sequence[tuple[str, str, str]] = ()
    passages: Sequence[tuple[str, str]] = ()
    replaced: Mapping[str, str] = field(default_factory=dict)
    after: Sequence[str] = ()


def load_parts() -> Mapping[str, Part]:
    """Return the parts by their names."""
    return {name: Part(**part) for name, part in tomllib.loads(_LIST.read_text(encoding="utf-8")).items()}


def remove_part(project: Path, name: str) -> list[str]:
    """Take a part out; return what was changed and what still names it.

    Raises:
        ScaffoldError: the part is unknown, is gone already, or another one must go first.
    """
    parts = load_parts()
    if name not in parts:
        said = f"PART={name} is not one of" if name else "Set PART= to one of"
        raise ScaffoldError(f"{said} {', '.join(parts)}.")
    part, changes = parts[name], Changes(project)
    template = changes.read(TEMPLATE)
    if not any(re.search(rf"^  {block}:$", template, re.MULTILINE) for block in part.blocks):
        raise ScaffoldError(f"PART={name} is gone already: template.yaml has no {part.blocks[0]}.")
    for other in part.after:
        if re.search(rf"^  {parts[other].blocks[0]}:$", template, re.MULTILINE):
            raise ScaffoldError(f"PART={name} needs PART={other} to go first: it builds on {name}.")
    _edit_files(changes, part)
    for file in (TEMPLATE, *sorted({file for file, _ in part.sections} - {TEMPLATE})):
        if changes.exists(file):
            changes.replace(file, remove_from_template(file, changes.read(file), part))
    _remove_settings(changes, part.parameters)
    gone = [*part.stacks, *(file for file in part.files if changes.exists(file))]
    for file in gone:
        changes.remove(file)
    gone += _remove_functions(changes)
    gone += _remove_unused(changes)
    _remove_exports(changes, gone)
    remove_targets(changes, part.targets, gone)
    remove_from_pages(changes, gone, part.targets, part.title)
    report = changes.write()
    return [*report, "", *_list_mentions(project, part)]


def _edit_files(changes: Changes, part: Part) -> None:
    # A file or a text that another part has taken along is no mistake.
    for file, text, new in part.edits:
        if file != TEMPLATE and changes.exists(file):
            changes.replace(file, changes.read(file).replace(text, new))
    for file, entry in part.entries:
        if changes.exists(file):
            changes.replace(file, remove_entry(changes.read(file), entry))
    remove_passages(changes, part.passages)
    changes.replace(_DASHBOARD, remove_widgets(changes.read(_DASHBOARD), part.widgets))
    for test in part.tests:
        remove_test(changes, *test.split("::"))


def remove_from_template(file: str, text: str, part: Part) -> str:
    """Return the text of a template without a part; what the template does not have is skipped."""
    for name, old, new in part.edits:
        if name == file == TEMPLATE:
            text = text.replace(old, new)
    blocks = Blocks(text)
    for path in (section.split("/") for name, section in part.sections if name == file):
        if blocks.has(*path):
            blocks.remove(*path)
    text = _remove_blocks(blocks.text, part.blocks, part.replaced) if file == TEMPLATE else blocks.text
    for condition in part.conditions:
        # What stands in its place is nothing.
        text = re.sub(rf"^ +- !If \[{condition}, .+, !Ref AWS::NoValue\]\n", "", text, flags=re.MULTILINE)
        text = re.sub(rf"^( +)- !If\n\1  - {condition}\n(?:\1  .*\n)+", "", text, flags=re.MULTILINE)
        text = re.sub(rf", !If \[{condition}, [^\[\]]+, !Ref AWS::NoValue\]", "", text)
    return _remove_conditions(text)


def _remove_settings(changes: Changes, parameters: Sequence[str]) -> None:
    """Remove the values that the Makefile and the tests give to parameters that are gone."""
    for name in parameters:
        value = rf'(?:{name}="\w+"|"{name}": "\w+"|"{name}=\w+")'
        for file in ("Makefile", "pyproject.toml", *changes.list_files("tests", "*.py")):
            text = re.sub(rf", {value}|{value}(?:, )?| {name}=\w+(?= )", "", changes.read(file))
            if text != changes.read(file):
                changes.replace(file, text)


def _remove_blocks(text: str, blocks: Sequence[str], replaced: Mapping[str, str]) -> str:
    """Return a template without blocks of AWS resources, the paths of those that serve routes, and what refers to them.

    Args:
        text: the template.
        blocks: logical IDs; one that is not there is skipped.
        replaced: values, by their keys, in place of those that refer to a block.
    """
    for block in blocks:
        body = re.search(rf"^  {block}:\n(?:   .*\n)+", text, re.MULTILINE)
        if body is None:
            continue
        text = text.replace(body[0], "")
        if route := re.search(r"Method: (\w+), Path: \"?(/[^\s\",]+)", body[0]):
            text = _remove_operation(text, route[1].lower(), route[2])
        reference = rf".*\b{block}\.Outputs\b.*\n"
        for name, value in replaced.items():
            text = re.sub(rf"^( +{name}: ){reference}", rf"\g<1>{value}\n", text, flags=re.MULTILINE)
        text = re.sub(rf"^ +- Effect: Allow\n +Action: .*\n +Resource: {reference}", "", text, flags=re.MULTILINE)
        # Of a line with several entries, only the one that refers to the block.
        text = re.sub(rf" \w+: !GetAtt {block}\.Outputs\.\w+,(?= *\w+:)", "", text)
        text = re.sub(rf"^{reference}", "", text, flags=re.MULTILINE)
    return text


def _remove_conditions(text: str) -> str:
    """Return a template without the conditions that nothing uses, each of them on one line."""
    for name in reversed(list(Blocks(text).list_keys("Conditions"))):
        if len(re.findall(rf"\b{name}\b", text)) == 1:
            text = re.sub(rf"^  {name}: .*\n", "", text, flags=re.MULTILINE)
    return text


def remove_widgets(text: str, titles: Sequence[str]) -> str:
    """Return the template of the dashboard without the widgets that have these titles."""
    start = '            {"type": '
    head, *widgets = text.split(start)
    last, end, tail = widgets[-1].partition("\n          ]}\n")
    kept = [
        widget.rstrip(",\n")
        for widget in (*widgets[:-1], last)
        if not any(f'"title": "{title}"' in widget for title in titles)
    ]
    return head + ",\n".join(start + widget for widget in kept) + end + tail


def remove_entry(text: str, entry: str) -> str:
    """Return source without an entry of a set, list or mapping, and its comma.

    >>> remove_entry('{"a", "b"}', '"b"')
    '{"a"}'
    """
    found = re.escape(entry)
    for pattern in (rf"^ +{found},\n", rf", {found}", rf"{found}, ?"):
        text, count = re.subn(pattern, "", text, count=1, flags=re.MULTILINE)
        if count:
            return text.replace("= {\n}", "= {}")
    return re.sub(rf"^(\w+) = \{{{found}\}}$", r"\1: set[str] = set()", text, flags=re.MULTILINE)


def _remove_operation(text: str, method: str, path: str) -> str:
    item = re.search(rf"^          {re.escape(path)}:\n(?:           .*\n)+", text, re.MULTILINE)
    if item is None:
        return text
    rest = re.sub(rf"^            {method}:\n(?:             .*\n)+", "", item[0], flags=re.MULTILINE)
    has_operation = re.search(r"^            (get|post|put|patch|delete):$", rest, re.MULTILINE)
    return text.replace(item[0], rest if has_operation else "")


def _remove_functions(changes: Changes) -> Iterator[str]:
    """Remove the functions that no template names, with their events."""
    templates = [TEMPLATE, *changes.list_files("stacks", "*.yaml")]
    named = {name for file in templates for name in re.findall(r"CodeUri: \S*functions/(\w+)", changes.read(file))}
    for file in list(changes.list_files("functions", "app.py")):
        name = file.split("/")[1]
        if name not in named:
            changes.remove(f"functions/{name}")
            changes.remove(f"events/{name}.json")
            yield from (f"functions/{name}", f"events/{name}.json")


def _remove_unused(changes: Changes) -> list[str]:
    """Remove the tags, scopes, models and components that no route uses; return the files that are gone."""
    api = Api(changes)
    scopes = api.remove_unused()
    api.save()
    makefile = changes.read("Makefile")
    for scope in scopes:
        makefile = re.sub(rf"^(SCOPES \?=.*?) {re.escape(scope)}(?= |$)", r"\1", makefile, flags=re.MULTILINE)
    changes.replace("Makefile", makefile)
    return _remove_models(changes)


def _remove_models(changes: Changes) -> list[str]:
    gone: list[str] = []
    while True:
        used = _find_references(changes)
        template = changes.read(TEMPLATE)
        unused = [
            file
            for file in changes.list_files("models", "*.json")
            if file.count("/") == 1 and f"schemas/{Path(file).stem}" not in used
        ]
        for file in unused:
            changes.remove(file)
            template = re.sub(rf"^ +{Path(file).stem}: \{{Fn::Transform.*\n", "", template, flags=re.MULTILINE)
        changes.replace(TEMPLATE, template)
        gone += unused
        if not unused:
            break
    for kind in ("parameters", "headers", "responses"):
        file = f"models/openapi/{kind}.json"
        text = changes.read(file)
        for name, entry in json.loads(text).items():
            if f"{kind}/{name}" not in _find_references(changes) and "x-every-operation" not in entry:
                text = re.sub(
                    rf'^  "{name}": \{{\n(?:    .*\n)*  \}},?\n|^  "{name}": .*\n', "", text, flags=re.MULTILINE
                )
        changes.replace(file, re.sub(r",(\s*\}\s*)\Z", r"\1", text))
    return gone


def _find_references(changes: Changes) -> set[str]:
    texts = [changes.read(TEMPLATE), *(changes.read(file) for file in changes.list_files("models", "*.json"))]
    return {name for text in texts for name in re.findall(r"#/components/(\w+/\w+)", text)}


def _remove_exports(changes: Changes, gone: Sequence[str]) -> None:
    """Remove what the house exports from modules that are gone."""
    text = changes.read(_EXPORTS)
    for file in gone:
        if match := re.fullmatch(r"layers/shared/serverless_api/(\w+)/(\w+)\.py", file):
            module = f"{match[1]}.{match[2]}"
            entry = re.search(rf'^        "{re.escape(module)}": "(.+)",\n', text, re.MULTILINE)
            if entry is None:
                continue
            text = text.replace(entry[0], "")
            text = re.sub(
                rf"^    from serverless_api\.{re.escape(module)} import (\(\n(?:        .*\n)+    \)|.*)\n",
                "",
                text,
                flags=re.MULTILINE,
            )
            for name in entry[1].split():
                text = text.replace(f'    "{name}",\n', "", 1)
    changes.replace(_EXPORTS, text)


def remove_test(changes: Changes, file: str, name: str) -> None:
    """Remove a test function with its decorators."""
    if not changes.exists(file):
        return
    text = changes.read(file)
    lines = text.splitlines(keepends=True)
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
            end = node.end_lineno or node.lineno
            while end < len(lines) and not lines[end].strip():
                end += 1
            changes.replace(file, remove_unused_imports("".join(lines[:start] + lines[end:]).rstrip() + "\n"))


def remove_unused_imports(source: str) -> str:
    """Return source without the imports of its first level that nothing uses."""
    lines, tree = source.splitlines(keepends=True), ast.parse(source)
    # A name may be a fixture, or in an annotation that is text.
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    used |= {str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    for node in reversed(tree.body):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [alias for alias in node.names if (alias.asname or alias.name.partition(".")[0]) in used]
        if len(names) < len(node.names):
            node.names = names
            lines[node.lineno - 1 : node.end_lineno] = [f"{ast.unparse(node)}\n"] if names else []
    return "".join(lines)


def remove_targets(changes: Changes, targets: Sequence[str], gone: Sequence[str]) -> None:
    text = changes.read("Makefile")
    for target in targets:
        text = re.sub(rf"^## {target}: .*\n(?:.+\n)+\n", "", text, flags=re.MULTILINE)
    for folder in gone:
        text = re.sub(rf"^\t.*{re.escape(folder)}/.*\n", "", text, flags=re.MULTILINE)
    changes.replace("Makefile", text)


def _list_mentions(project: Path, part: Part) -> list[str]:
    """Return the lines of code that still name a block of the part."""
    patterns = [rf"\b({'|'.join(part.blocks)})(/\w|\.Outputs\b)", *(rf"\b{name}\b" for name in part.parameters)]
    pattern = re.compile("|".join(patterns))
    folders = ("functions", "layers", "stacks", "tests", "tools")
    found = [
        f"- {path.relative_to(project)}:{number}"
        for path in (
            project / TEMPLATE,
            *(path for folder in folders for path in sorted((project / folder).rglob("*"))),
        )
        if path.suffix in {".py", ".yaml"}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    left = ["These lines still name the part:", *found] if found else []
    return [
        *left,
        "Tables with data stay in AWS when their stack goes. Run `make check`, and read the pages that it names.",
    ]


def main() -> int:
    """Remove the part of the command line; return 2 if it cannot be."""
    parser = CommandParser(prog="make remove", description=__doc__)
    parser.add_argument("--part", default="", help=f"one of {', '.join(load_parts())}")
    options = parser.parse_args()
    return report_changes(lambda: remove_part(ROOT, options.part))


if __name__ == "__main__":
    raise SystemExit(main())
