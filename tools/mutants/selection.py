"""Which tests run a line: measured once, and again for test files that have changed or if the code has."""

import ast
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from coverage import CoverageData

from tools.mutants.messages import Request
from tools.mutants.targets import TARGETS, Target, find_target, list_sources
from tools.mutants.workspace import Workspace

_MEASURE_SECONDS = 900
_SETTINGS = """\
[run]
parallel = true
data_file = {folder}/.coverage
# Servers run the code, too.
patch = subprocess
sigterm = true
source_dirs = {sources}
"""


class Measurement(NamedTuple):
    """What the tests of a file run."""

    seconds: float
    """Processor time of the file's tests."""
    tests: list[str]
    """IDs of the tests. An empty one stands for a server or a fixture, which serve the whole file."""
    lines: dict[str, dict[str, list[int]]]
    """The tests that run a line, as indexes, by module and line."""


class Selection:
    """The tests of each mutant."""

    def __init__(self, cache: Path) -> None:
        """Take a folder that keeps measurements for the next time."""
        self._cache = cache
        self._measurements: dict[Target, dict[str, Measurement]] = {target: {} for target in TARGETS}

    def measure(self, target: Target, test: str, workspace: Workspace) -> None:
        """Find out which lines the tests of a file run.

        Raises:
            ChildProcessError: they fail.
        """
        root = workspace.folder
        paths = [*(root / source for source in list_sources(target, root)), root / target.folder / test]
        key = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
        file = self._cache / f"{key}.json"
        if file.exists():
            measurement = Measurement(**json.loads(file.read_text(encoding="utf-8")))
        else:
            measurement = _measure(target, test, workspace)
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps(measurement._asdict()), encoding="utf-8")
        self._measurements[target][test] = measurement

    def find_tests(self, root: Path, file: str, line: int) -> tuple[list[str], float]:
        """Return the arguments of pytest for a line, quick files first, and the processor seconds that they take."""
        lines = find_lines((root / file).read_text(encoding="utf-8"), line)
        target, found = find_target(file), []
        programs = {test for module, test in target.programs if file.endswith(f"/{module}")}
        for test, measurement in self._measurements[target].items():
            measured = measurement.lines.get(file, {})
            indexes = {index for number in lines for index in measured.get(str(number), ())}
            names = sorted(measurement.tests[index] for index in indexes)
            if names or test in programs:
                is_whole = test in programs or "" in names
                seconds = measurement.seconds * (1 if is_whole else len(names) / len(measurement.tests))
                found.append((seconds, [test] if is_whole else names))
        found.sort()
        return [argument for _, arguments in found for argument in arguments], sum(seconds for seconds, _ in found)


def _measure(target: Target, test: str, workspace: Workspace) -> Measurement:
    folder = workspace.folder.with_suffix(".measured")
    folder.mkdir(exist_ok=True)
    settings = folder / "settings.ini"
    settings.write_text(_SETTINGS.format(folder=folder, sources=workspace.folder / target.sources), encoding="utf-8")
    arguments = ["--quiet", "--disable-warnings", "-p", "tools.mutants.contexts", test]
    answer = workspace.run(target, Request(arguments, _MEASURE_SECONDS, test, str(settings)))
    if answer.status != 0:
        raise ChildProcessError(f"The tests of {test} fail without a mutant: {workspace.output}")
    tests: dict[str, int] = {}
    lines: dict[str, dict[str, list[int]]] = {}
    for path in folder.glob(".coverage.*"):
        data = CoverageData(str(path))
        data.read()
        for module in data.measured_files():
            measured = lines.setdefault(str(Path(module).relative_to(workspace.folder)), {})
            for number, contexts in data.contexts_by_lineno(module).items():
                indexes = {tests.setdefault(context.partition("|")[2], len(tests)) for context in contexts}
                measured[str(number)] = sorted(indexes.union(measured.get(str(number), ())))
        path.unlink()
    return Measurement(answer.processor_seconds, list(tests), lines)


@cache
def _parse(source: str) -> ast.Module:
    return ast.parse(source)


def find_lines(source: str, line: int) -> set[int]:
    """Return the lines that run what stands in a line.

    A line of a function is run with the function. What a module or class defines is run once, by the first import, so
    the lines that use it count, and for a decorator or default value those of its function.
    """
    tree = _parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in sorted(functions, key=lambda node: -node.lineno):
        body = _lines(function.body)
        if line in body:
            return _find_statement(function.body, line)
        if line in range(min([function.lineno, *(node.lineno for node in function.decorator_list)]), min(body)):
            return set(body)
    names = set(_defined_names(tree, line))
    bodies = {number for function in functions for number in _lines(function.body)}
    used = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.expr) and _read_name(node) in names} & bodies
    return used or bodies or {line}


def _lines(body: list[ast.stmt]) -> range:
    return range(body[0].lineno, (body[-1].end_lineno or body[-1].lineno) + 1)


def _find_statement(body: list[ast.stmt], line: int) -> set[int]:
    """Return the lines of the innermost statement, without the statements within it."""
    (statement,) = [node for node in body if line in _lines([node])]
    inner = [node for node in ast.walk(statement) if isinstance(node, ast.stmt) and node is not statement]
    nested = [node for node in inner if line in _lines([node])]
    if nested:
        statement = max(nested, key=lambda node: (node.lineno, -(node.end_lineno or 0)))
        inner = [node for node in ast.walk(statement) if isinstance(node, ast.stmt) and node is not statement]
    within = {number for node in inner for number in _lines([node])}
    return set(_lines([statement])) - within or {line}


def _defined_names(tree: ast.Module, line: int) -> Iterator[str]:
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and line in _lines([node])]
    # The line of a class's decorator is in no statement.
    innermost = max(statements, key=lambda node: node.lineno, default=ast.Pass())
    for node in ast.walk(innermost):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _read_name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None
