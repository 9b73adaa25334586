"""Pages of the documentation without what a removed part had there."""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from tools.scaffold.blocks import Blocks
from tools.scaffold.changes import Changes

_REFERENCE, _ALARMS, _PARTS = "docs/reference.md", "docs/operations/alarms.md", "docs/leave-out-a-part.md"


def remove_from_pages(changes: Changes, gone: Sequence[str], targets: Sequence[str], title: str = "") -> None:
    """Take the rows, list items, links and sections out of the pages that are about a removed part.

    Args:
        changes: the project.
        gone: the files and folders that are removed.
        targets: the targets of the Makefile that are removed.
        title: the part's section in docs/leave-out-a-part.md.
    """
    tests = [f"`{PurePosixPath(name).name}::" for name in gone if name.startswith("tests/security/")]
    words = [rf"(?<![\w/.-]){re.escape(name)}(?![\w-])" for name in gone]
    words += [rf"\bmake {target}(?![\w-])" for target in targets] + [re.escape(test) for test in tests]
    about = re.compile("|".join(words))
    for page in _list_pages(changes):
        units = _split(changes.read(page))
        kept = [unit for unit in units if not _is_about(unit, page, gone, about)]
        text = "".join(kept)
        if len(kept) < len(units):
            text = _tidy(text)
        changes.replace(page, _unlink(text, page, gone))
    stacks = [name for name in gone if name.startswith("stacks/")]
    _remove_sections(changes, _PARTS, [title] if title else [])
    _remove_sections(changes, _REFERENCE, stacks, level="###")
    templates = {file: changes.read(file) for file in ("template.yaml", *changes.list_files("stacks", "*.yaml"))}
    for heading, section in (("parameter", "Parameters"), ("output", "Outputs")):
        _keep_rows(changes, _REFERENCE, heading, set(Blocks(templates["template.yaml"]).list_keys(section)))
    for file, text in templates.items():
        if Blocks(text).has("Mappings", "Stages"):
            settings = set(Blocks(text).list_keys("Mappings", "Stages"))
            _keep_rows(changes, _REFERENCE, "setting", settings, below=f"### {file}\n")
    texts = templates.values()
    named = {heading for text in texts for heading in re.findall(r'docs/operations, "(.+?)"\)', text)} | {"Budget"}
    headings = re.findall(r"^## (.+)$", changes.read(_ALARMS), re.MULTILINE)
    _remove_sections(changes, _ALARMS, [heading for heading in headings if heading not in named])


def _tidy(text: str) -> str:
    """Return a page without the blanks that removed units leave; blocks of code stay as they are."""
    parts = re.split(r"(^```(?:.*\n)*?```$)", text, flags=re.MULTILINE)
    parts[::2] = [re.sub(r" +$", "", re.sub(r"\n{3,}", "\n\n", part), flags=re.MULTILINE) for part in parts[::2]]
    return "".join(parts).rstrip("\n") + "\n"


def remove_passages(changes: Changes, passages: Sequence[tuple[str, str]]) -> None:
    """Remove rows and paragraphs by their pages and beginnings; one that is gone already is no mistake."""
    for page, start in passages:
        if changes.exists(page):
            rest = r".*\n" if start.startswith("|") else r".*\n(?:.+\n)*\n?"
            pattern = re.compile(f"^{re.escape(start)}{rest}", re.MULTILINE)
            changes.replace(page, pattern.sub("", changes.read(page)))


def _list_pages(changes: Changes) -> Iterator[str]:
    if changes.exists("README.md"):
        yield "README.md"
    for folder in ("docs", "examples"):
        yield from changes.list_files(folder, "*.md")


def _split(text: str) -> list[str]:
    """Return a page in units that go or stay as a whole: rows, items, lines of code, and sentences."""
    units: list[str] = []
    in_code = False
    for line in text.splitlines(keepends=True):
        fence = line.startswith("```")
        in_code ^= fence
        if fence or in_code or line.startswith(("#", "|", "- ")) or not line.strip():
            units.append(line)
        elif units and units[-1].startswith("- ") and line.startswith("  "):
            units[-1] += line
        else:
            first, *rest = re.split(r"(?<=[.:]) (?=[A-Z`])", line)
            is_open = units and units[-1].strip() and not units[-1].startswith(("#", "|", "```"))
            if is_open and not re.search(r"[.:]\n$", units[-1]):
                units[-1] += first
            else:
                units.append(first)
            # The blank stays with the sentence in front of it.
            for sentence in rest:
                units[-1] += " "
                units.append(sentence)
    return units


def _is_about(unit: str, page: str, gone: Sequence[str], about: re.Pattern[str]) -> bool:
    """Return whether a row, an item or a sentence names what is removed.

    A sentence that only links there stays, and so does a row of the reference: the templates decide which it has.
    """
    if unit.startswith("#"):
        return False
    links = (_resolve(page, target) for target in re.findall(r"\]\(([^)\s#]+)", unit))
    is_entry = unit.startswith(("|", "- ")) and page != _REFERENCE
    return bool(about.search(unit)) or (is_entry and any(_is_gone(name, gone) for name in links))


def _unlink(text: str, page: str, gone: Sequence[str]) -> str:
    """Return a text whose links to removed pages are their words."""

    def replace(match: re.Match[str]) -> str:
        return match[1] if _is_gone(_resolve(page, match[2]), gone) else match[0]

    return re.sub(r"\[([^\]]+)\]\(([^)\s#]+)(?:#[^)\s]*)?\)", replace, text)


def _is_gone(name: str, gone: Sequence[str]) -> bool:
    return any(name == other or name.startswith(f"{other}/") for other in gone)


def _resolve(page: str, target: str) -> str:
    parts: list[str] = []
    for part in (PurePosixPath(page).parent / target).parts:
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return "/".join(parts)


def _remove_sections(changes: Changes, page: str, headings: Sequence[str], level: str = "##") -> None:
    if not changes.exists(page):
        return
    text = changes.read(page)
    for heading in headings:
        text = re.sub(
            rf"^{level} {re.escape(heading)}\n(?:(?!#{{2,{len(level)}}} ).*\n)*", "", text, flags=re.MULTILINE
        )
    changes.replace(page, text.rstrip("\n") + "\n")


def _keep_rows(changes: Changes, page: str, heading: str, names: set[str], below: str = "") -> None:
    """Keep those rows of a table, the first one below a text, whose first column names something that is there."""
    text = changes.read(page) if changes.exists(page) else ""
    above = text.find(below) + len(below)
    before, start, rest = text[above:].partition(f"| {heading} |")
    if below not in text or not start:
        return
    before = text[:above] + before
    table, end, after = rest.partition("\n\n")
    head, rule, *rows = table.split("\n")
    rows = [row for row in rows if set(re.findall(r"`(\w+)`", row.split("|")[1])) & names]
    changes.replace(page, before + start + "\n".join([head, rule, *rows]) + end + after)
