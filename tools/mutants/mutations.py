"""The mutants of a module, made with the operators of Cosmic Ray."""

import ast
import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import parso
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names

from tools.mutants.outcomes import Mutant

# Of the replacements of an operator, one: those that a test of a limit or of a sign tells apart.
_REPLACEMENTS = {
    "Comparison": "Eq_NotEq NotEq_Eq Lt_LtE Lt_GtE LtE_Lt Gt_GtE Gt_LtE GtE_Gt Is_IsNot IsNot_Is",
    "Binary": "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_Mul Pow_Mul LShift_RShift RShift_LShift "
    "BitOr_BitAnd BitAnd_BitOr BitXor_BitOr",
    "Unary": "USub_UAdd Delete_Not Delete_Invert",
}
# Operators with chosen replacements, and the one that `ReplaceException` does the work of.
_REPLACED = re.compile(r"Replace(Comparison|Binary|Unary)Operator|ExceptionReplacer")
_CHOSEN = {f"Replace{kind}Operator_{pair}" for kind, pairs in _REPLACEMENTS.items() for pair in pairs.split()}
# What only type checkers read, and what only keeps code from assigning attributes.
_CHECKERS = re.compile(r"(override|final|overload)$|dataclass\b")


class RemoveStatement(Operator):  # type: ignore[misc]
    """Replaces a call, a raise or the assignment to an item or attribute with `pass`."""

    @staticmethod
    def mutation_positions(node: Any) -> Iterator[tuple[Any, Any]]:
        """Return where such a statement starts and ends."""
        if node.type != "simple_stmt":
            return
        statement = node.children[0]
        is_call = statement.type == "atom_expr" and statement.children[-1].type == "trailer"
        is_assignment = statement.type == "expr_stmt" and statement.children[0].type == "atom_expr"
        if is_call or is_assignment or statement.type == "raise_stmt":
            yield statement.start_pos, statement.end_pos

    @staticmethod
    def mutate(node: Any, _index: int) -> Any:
        """Change the statement."""
        old = node.children[0]
        node.children[0] = parso.python.tree.Keyword("pass", old.start_pos, old.get_first_leaf().prefix)
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        """Return none: they are for Cosmic Ray's own tests."""
        return ()


class ReturnNone(Operator):  # type: ignore[misc]
    """Returns None in place of a value."""

    @staticmethod
    def mutation_positions(node: Any) -> Iterator[tuple[Any, Any]]:
        """Return where a statement with a value starts and ends."""
        if node.type == "return_stmt" and node.children[1].get_code().strip() != "None":
            yield node.start_pos, node.end_pos

    @staticmethod
    def mutate(node: Any, _index: int) -> Any:
        """Change the value."""
        node.children[1] = parso.python.tree.Keyword("None", node.children[1].start_pos, " ")
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        """Return none: they are for Cosmic Ray's own tests."""
        return ()


class ReplaceException(Operator):  # type: ignore[misc]
    """Replaces an exception in an `except` with one that is never raised, also if its name is dotted."""

    @staticmethod
    def _list_exceptions(node: Any) -> list[Any]:
        if node.type != "except_clause":
            return []
        caught = node.children[1]
        if caught.type != "atom":
            return [caught]
        within = caught.children[1]
        return [child for child in within.children if child != ","] if within.type == "testlist_comp" else [within]

    @classmethod
    def mutation_positions(cls, node: Any) -> Iterator[tuple[Any, Any]]:
        """Return where each exception starts and ends."""
        return ((name.start_pos, name.end_pos) for name in cls._list_exceptions(node))

    @classmethod
    def mutate(cls, node: Any, index: int) -> Any:
        """Change the exception."""
        name = cls._list_exceptions(node)[index]
        siblings, prefix = name.parent.children, name.get_first_leaf().prefix
        siblings[siblings.index(name)] = parso.python.tree.Name("ZeroDivisionError", name.start_pos, prefix)
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        """Return none: they are for Cosmic Ray's own tests."""
        return ()


def _list_operators() -> dict[str, Operator]:
    own = (RemoveStatement, ReplaceException, ReturnNone)
    operators = {operator.__name__: operator() for operator in own}
    for qualified in operator_names():
        name = qualified.partition("/")[2]
        kind = get_operator(qualified)
        if not kind.arguments() and (name in _CHOSEN or not _REPLACED.match(name)):
            operators[name] = kind()
    return operators


_OPERATORS = _list_operators()


class Change(NamedTuple):
    """The code of a mutant, and the lines that differ, without indentation."""

    code: str
    before: str
    after: str


def list_mutants(root: Path, file: str) -> list[Mutant]:
    """Return the mutants of a module, in the order of its lines."""
    source = (root / file).read_text(encoding="utf-8")
    skipped = set(_skipped_lines(source)), list(_annotations(source))
    counts = dict.fromkeys(_OPERATORS, 0)
    mutants = []
    for node in ast_nodes(get_ast(source)):
        for name, operator in _OPERATORS.items():
            for (line, column), _ in operator.mutation_positions(node):
                # A bare `*` or `/` between parameters and `**` in a dictionary are not operators of an expression.
                is_punctuation = node.type == "operator" and node.parent.type in {"parameters", "dictorsetmaker"}
                if not (is_punctuation or _is_skipped((line, column), *skipped)):
                    mutants.append(Mutant(file, line, column, name, counts[name]))
                counts[name] += 1
    return sorted(mutants)


def apply_mutant(root: Path, mutant: Mutant) -> Change:
    """Return what a mutant changes."""
    source = (root / mutant.file).read_text(encoding="utf-8")
    code: str = mutate_code(source, _OPERATORS[mutant.operator], mutant.occurrence)
    lines = list(difflib.ndiff(source.splitlines(), code.splitlines()))
    before, after = ("\n".join(line[2:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return Change(code, before, after)


type _Range = tuple[tuple[int, int], tuple[int, int]]


def _is_skipped(position: tuple[int, int], lines: set[int], ranges: list[_Range]) -> bool:
    return position[0] in lines or any(start <= position < end for start, end in ranges)


def _skipped_lines(source: str) -> Iterator[int]:
    """Lines that do nothing at run time, or nothing but help type checkers."""
    for node in ast.walk(ast.parse(source)):
        is_checking = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        is_protocol = isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases)
        if isinstance(node, ast.stmt) and (is_checking or is_protocol or isinstance(node, ast.TypeAlias)):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from (place.lineno for place in node.decorator_list if _CHECKERS.match(ast.unparse(place)))


def _annotations(source: str) -> Iterator[_Range]:
    for node in ast.walk(ast.parse(source)):
        for field in ("annotation", "returns", "bound"):
            place = getattr(node, field, None)
            if isinstance(place, ast.expr):
                yield (place.lineno, place.col_offset), (place.end_lineno or 0, place.end_col_offset or 0)
