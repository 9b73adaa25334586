"""Gives a project's noun another name, and leaves AWS's words alone.

A compound in mixed case is the noun's only if `OWN_COMPOUND` has it. Prose qualifies AWS's sense of the word, as in
"AWS resource", "the stack's resource" or "resource policy"; a bare word is the noun.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tools.scaffold.api import correct_length
from tools.scaffold.changes import ScaffoldError
from tools.scaffold.names import Noun

_SUFFIXES = {".py", ".json", ".yaml", ".toml", ".md", ".ts", ".js", ".html"}
_LEFT_ALONE = {
    "packages",
    # They go when the project is made.
    *(f"tools/scaffold/{name}" for name in ("generation.py", "renaming.py", "first_noun.py", "pieces")),
    "functions/verify_versions",
    "functions/rotate_client_secret",
    "functions/warm_functions",
}
_VERBS = "Create|Get|List|Update|Patch|Delete|Search|Import|Embed"
_ENDINGS = "Input(?:Type|Metadata)?|Patch(?:Type)?|Page|Created|Updated|Deleted|Changed|Retrieved|Listed|Api|AliasLive"
OWN_COMPOUND = re.compile(rf"_?(?:(?:{_VERBS})(?:User)?)?Resources?(?:{_ENDINGS})?", re.IGNORECASE)
"""The noun in a compound in mixed case. All others are AWS's: `DescribeStackResources`, `ResourceTag`."""
COMPOUND = re.compile(r"(?<![\w\\])\w*(?:[A-Za-z0-9_]Resource|[Rr]esources?[A-Z])\w*")
# AWS's own words, in templates, policies and the answers of services.
_AWS = re.compile(
    r"(?:^|(?<=\\n))Resources:|\bResources(?=/[A-Z])"
    r"|\bResources\b(?=\"\]|\", |\":)|\"Resources\"|\bResource:(?! \{Fn::Transform)|\"Resource\"|'Resource'"
    r"|\bResource\b(?=\)|`, `Stage|,(?:Stage|Method)\b)"
    # Actions and condition keys of IAM, and types of CloudFormation.
    r"|\b(?:[a-z0-9-]+|AWS):[A-Z:]\w[\w:]*"
    r"|\b(?:boto3|AWS|[Cc]ustom|stack's)[ \n.]resources?\b"
    r"|\b[Rr]esource[ \n](?:server|polic|type|tag)|\bRequested resource not\b"
    # The member of API Gateway's events.
    r"|\"resource\"(?=: (?:\"/|str\b))|\bevent(?:\.get\(|\[)[\"']resource\b"
    r"|\w*resource_(?:polic|type)\w*|\w*stack_resources?\b|(?:find|translate|read|count)_resources\b|\bget_resource_schema\b"
    r"|\"resources\": \[(?=\"arn)|\bdef resources(?=\(self)"
    r"|(?:(?<=[\w)\]])|^ +)\.resources\b(?!\.(?:settings|enrichment|test_)| import|_)|\bresources(?==)",
    re.MULTILINE,
)
_TEMPLATE = re.compile(r"\[\"Resources\"\]|\btranslate_(?:stack|template)\b|\bResource(?:Type|Status)\b|\"AWS::")
_NOUN_IMPORT = re.compile(r"^\s*(?:from|import) resources\b", re.MULTILINE)
# In a module that reads a template, or what CloudFormation says of a stack, the bare word is AWS's too.
IN_TEMPLATES = re.compile(
    rf"{_AWS.pattern}|(?<![\w/:.\"'-])resources?\b(?!/|:\S|-)|\"resource\"|\btest_\w*resource\w*", re.MULTILINE
)


def rename_noun(project: Path, old: Noun, new: Noun) -> None:
    """Rename the noun in everything that is written, and the files that are named after it.

    Raises:
        ScaffoldError: a file, or a name in a module, is called so already.
    """
    for path in list(_list_files(project)):
        text = path.read_text(encoding="utf-8")
        is_about_templates = path.suffix == ".py" and _reads_templates(text)
        renamed = rename_text(text, old, new, IN_TEMPLATES if is_about_templates else _AWS)
        if path.parent.name == "events":
            renamed = correct_length(renamed)
        if path.suffix == ".py" and len(_find_names(renamed)) < len(_find_names(text)):
            (taken, *_) = sorted(_find_names(text) & {new.singular, new.plural, f"{new.singular}_id"}) or [new.singular]
            raise ScaffoldError(_say_taken(new, f"{path.relative_to(project)} names something else {taken}"))
        if renamed != text:
            path.write_text(renamed, encoding="utf-8")
    # The deepest first, so that no parent's new name hides a child.
    for path in sorted(project.rglob("*"), key=lambda path: len(path.parts), reverse=True):
        name = _rename_word(path.name, old, new)
        if name != path.name and not _is_left_alone(project, path):
            if path.with_name(name).exists():
                raise ScaffoldError(_say_taken(new, f"{path.with_name(name).relative_to(project)} exists"))
            path.rename(path.with_name(name))


def _say_taken(noun: Noun, reason: str) -> str:
    return f"NAME={noun.singular} is taken: {reason}; choose another name."


def _find_names(source: str) -> set[str]:
    """Return the names of variables, parameters, functions, classes and imports in a module."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.alias(name=name, asname=other):
                names.add(other or name)
    return names


def rename_text(text: str, old: Noun, new: Noun, kept: re.Pattern[str] = _AWS) -> str:
    """Return a text with the noun's new name in each spelling, except what is kept.

    >>> rename_text('"read:resources", Resource: "*"', Noun("resource", "resources"), Noun("invoice", "invoices"))
    '"read:invoices", Resource: "*"'
    """
    parts, end = [], 0
    for start, stop in _find_kept(text, kept):
        parts += [_rename_word(text[end:start], old, new), text[start:stop]]
        end = stop
    return "".join([*parts, _rename_word(text[end:], old, new)])


def _find_kept(text: str, kept: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """Yield the spans that stay, in their order and apart."""
    spans = {match.span() for match in kept.finditer(text)}
    spans |= {match.span() for match in COMPOUND.finditer(text) if not OWN_COMPOUND.fullmatch(match[0])}
    end = 0
    for start, stop in sorted(spans):
        if stop > end:
            yield max(start, end), stop
            end = stop


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
