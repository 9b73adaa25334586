"""Gives a project's noun another name, and leaves the words of CloudFormation, IAM and EventBridge alone."""

import re
from collections.abc import Iterator
from pathlib import Path

from tools.scaffold.api import correct_length
from tools.scaffold.names import Noun
from tools.scaffold.source import format_source

_SUFFIXES = {".py", ".json", ".yaml", ".toml", ".md", ".ts", ".js", ".html"}
_LEFT_ALONE = {
    "packages",
    "tools/scaffold",
    "functions/verify_versions",
    "functions/rotate_client_secret",
    "functions/warm_functions",
}
# AWS's own words, in templates, policies and the answers of services.
_AWS = re.compile(
    r"(?:^|(?<=\\n))Resources:"
    r"|\bResources\b(?=\"\]|\", |\":)|\"Resources\"|\bResource:(?! \{Fn::Transform)|\"Resource\"|'Resource'"
    r"|\bResource\b(?=\)|`, `Stage|,(?:Stage|Method)\b)"
    r"|\w*(?:ListStack|Physical|Logical|Tag|UserPool|Describe)Resource\w*|\bResourceServer\b|ResourceNotFound\w*"
    r"|Resource(?:Type|Status|Id|Properties|Policy|Policies|Path|InUse\w*)\b|PutResource\w*|resource(?:Path|Id)\b"
    r"|\w*stack_resources?\b|resource_(?:policy|types?)\b|(?:find|translate|read|count)_resources\b|\bget_resource_schema\b"
    r"|\"resources\": \[(?=\"arn)|\bdef resources(?=\(self)"
    r"|(?:(?<=[\w)\]])|^ +)\.resources\b(?!\.(?:settings|enrichment|test_)| import|_)|\bresources(?==)",
    re.MULTILINE,
)
_TEMPLATE = re.compile(r"\[\"Resources\"\]|\btranslate_(?:stack|template)\b|\bResource(?:Type|Status)\b|\"AWS::")
_NOUN_IMPORT = re.compile(r"^\s*(?:from|import) resources\b", re.MULTILINE)
# In a module that reads a template, or what CloudFormation says of a stack, the bare word is AWS's too.
IN_TEMPLATES = re.compile(rf"{_AWS.pattern}|(?<![\w/:.\"'-])resources?\b(?!/|:\S|-)|\"resource\"", re.MULTILINE)


def rename_noun(project: Path, old: Noun, new: Noun) -> None:
    """Rename the noun in everything that is written, and the files that are named after it."""
    for path in list(_list_files(project)):
        text = path.read_text(encoding="utf-8")
        is_about_templates = path.suffix == ".py" and _reads_templates(text)
        renamed = rename_text(text, old, new, IN_TEMPLATES if is_about_templates else _AWS)
        if path.parent.name == "events":
            renamed = correct_length(renamed)
        if renamed != text:
            path.write_text(format_source(renamed) if path.suffix == ".py" else renamed, encoding="utf-8")
    # The deepest first, so that no parent's new name hides a child.
    for path in sorted(project.rglob("*"), key=lambda path: len(path.parts), reverse=True):
        name = _rename_word(path.name, old, new)
        if name != path.name and not _is_left_alone(project, path):
            path.rename(path.with_name(name))


def rename_text(text: str, old: Noun, new: Noun, kept: re.Pattern[str] = _AWS) -> str:
    """Return a text with the noun's new name in each spelling, except what is kept.

    >>> rename_text('"read:resources", Resource: "*"', Noun("resource", "resources"), Noun("invoice", "invoices"))
    '"read:invoices", Resource: "*"'
    """
    parts, end = [], 0
    for match in kept.finditer(text):
        parts += [_rename_word(text[end : match.start()], old, new), match[0]]
        end = match.end()
    return "".join([*parts, _rename_word(text[end:], old, new)])


def _reads_templates(source: str) -> bool:
    return bool(_TEMPLATE.search(source)) and not _NOUN_IMPORT.search(source)


def _rename_word(text: str, old: Noun, new: Noun) -> str:
    before, after = old.words, new.words
    # In prose, an article stands in front.
    text = re.sub(rf"\b([Aa])n? {before['thing']}\b", lambda match: _fit_article(match[1], after["a_word"]), text)
    for name in ("Things", "Thing", "things", "thing"):
        spelled = {"things": after["things"], "thing": after["thing"]}.get(name, after[name])
        text = text.replace(before[name], spelled)
    return text.replace(before["things"].upper(), after["things"].upper())


def _fit_article(first: str, words: str) -> str:
    return words if first == "a" else words.capitalize()


def _list_files(project: Path) -> Iterator[Path]:
    for path in project.rglob("*"):
        is_text = path.suffix in _SUFFIXES or path.name in {"Makefile", ".checkov.yaml"}
        if path.is_file() and is_text and not _is_left_alone(project, path):
            yield path


def _is_left_alone(project: Path, path: Path) -> bool:
    name = path.relative_to(project).as_posix()
    return any(name == other or name.startswith(f"{other}/") for other in _LEFT_ALONE)
