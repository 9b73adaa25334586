r"""Regular expressions that take linear time, for the keyword `pattern`.

Python's `re` tries one way after another through a pattern, and a caller can choose a value for which there are
exponentially many. Here the pattern is a finite automaton, whose states are made as they are needed: each character is
looked at once. What no automaton can do is rejected: back-references, lookaround, word boundaries.

The dialect is that of JSON Schema (ECMA-262): `\d` and `\w` are ASCII, `$` matches at the very end, and a pattern may
match anywhere in the value.

Source: Russ Cox, «Regular Expression Matching Can Be Simple And Fast».
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

type Test = Callable[[str], bool]

MAX_NODES = 5_000
"""Largest automaton. `[a-z]{1,100}` has 100 nodes."""

# Bounds the memory that a caller can fill with ever new characters.
_MAX_STEPS = 10_000

_CATEGORIES: dict[Any, Test] = {
    op.CATEGORY_DIGIT: lambda char: "0" <= char <= "9",
    op.CATEGORY_NOT_DIGIT: lambda char: not "0" <= char <= "9",
    op.CATEGORY_WORD: lambda char: char.isascii() and (char.isalnum() or char == "_"),
    op.CATEGORY_NOT_WORD: lambda char: not (char.isascii() and (char.isalnum() or char == "_")),
    op.CATEGORY_SPACE: lambda char: char.isspace() or char == "\ufeff",
    op.CATEGORY_NOT_SPACE: lambda char: not (char.isspace() or char == "\ufeff"),
}


class PatternError(Exception):
    """A pattern is not valid or cannot be matched in linear time."""


class _Node:
    """One step of the automaton: a character to read, a place to be at, or neither."""

    __slots__ = ("is_at_end", "is_at_start", "next", "test")

    def __init__(
        self, *following: "_Node", test: Test | None = None, is_at_start: bool = False, is_at_end: bool = False
    ) -> None:
        self.next = list(following)
        self.test = test
        self.is_at_start = is_at_start
        self.is_at_end = is_at_end


class _State:
    """The nodes that the characters so far lead to, and the states that follow on the next character."""

    __slots__ = ("nodes", "steps")

    def __init__(self, nodes: frozenset[_Node]) -> None:
        self.nodes = nodes
        self.steps: dict[str, _State] = {}


class Pattern:
    """A compiled pattern.

    Args:
        source: the pattern.

    Raises:
        PatternError: it is not valid or cannot be matched in linear time.
    """

    def __init__(self, source: str) -> None:
        try:
            parsed = _parser.parse(source)
        except (re.error, RecursionError, OverflowError) as error:
            raise PatternError(f"is not a regular expression: {error}") from error
        if parsed.state.flags & ~re.UNICODE:
            raise PatternError("has flags")
        self._count = 0
        self._end = _Node()
        self._start = self._build(parsed, self._end)
        self._forget()

    def matches(self, text: str) -> bool:
        """Return whether the pattern matches somewhere in `text`."""
        state = self._first
        for char in text:
            if self._end in state.nodes:
                return True
            state = state.steps.get(char) or self._step(state, char)
        return self._end in _follow(state.nodes, is_at_start=not text, is_at_end=True)

    def _forget(self) -> None:
        self._states: dict[frozenset[_Node], _State] = {}
        self._left = _MAX_STEPS
        self._first = self._find_state(_follow([self._start], is_at_start=True))

    def _find_state(self, nodes: frozenset[_Node]) -> _State:
        return self._states.setdefault(nodes, _State(nodes))

    def _step(self, state: _State, char: str) -> _State:
        if self._left == 0:
            self._forget()
        self._left -= 1
        reached = [following for node in state.nodes if node.test and node.test(char) for following in node.next]
        # A match may also start here.
        found = state.steps[char] = self._find_state(_follow([*reached, self._start]))
        return found

    def _build(self, items: Iterable[Any], after: _Node) -> _Node:
        """Return the node where a sequence starts that leads to `after`."""
        for operator, argument in reversed(list(items)):
            after = self._build_item(operator, argument, after)
        return after

    def _build_item(self, operator: Any, argument: Any, after: _Node) -> _Node:
        self._count += 1
        if self._count > MAX_NODES:
            raise PatternError("is too large")
        match operator:
            case op.LITERAL | op.NOT_LITERAL | op.ANY | op.IN | op.RANGE:
                return _Node(after, test=_make_test(operator, argument))
            case op.AT if argument in (op.AT_BEGINNING, op.AT_BEGINNING_STRING):
                return _Node(after, is_at_start=True)
            case op.AT if argument in (op.AT_END, op.AT_END_STRING):
                return _Node(after, is_at_end=True)
            case op.SUBPATTERN if not argument[1] and not argument[2]:
                return self._build(argument[3], after)
            case op.BRANCH:
                return _Node(*[self._build(branch, after) for branch in argument[1]])
            case op.MAX_REPEAT | op.MIN_REPEAT:
                least, most, repeated = argument
                return self._repeat(least, most, repeated, after)
        raise PatternError(f"has {str(operator).lower()}, which takes more than linear time")

    def _repeat(self, least: int, most: int, items: Any, after: _Node) -> _Node:
        node = after
        if most == op.MAXREPEAT:
            node = _Node(after)
            node.next.append(self._build(items, node))
            most = least
        for _ in range(most - least):
            node = _Node(after, self._build(items, node))
        for _ in range(least):
            node = self._build(items, node)
        return node


@cache
def compile_pattern(source: str) -> Pattern:
    """Return the compiled pattern; see `Pattern`."""
    return Pattern(source)


def _follow(nodes: Iterable[_Node], *, is_at_start: bool = False, is_at_end: bool = False) -> frozenset[_Node]:
    """Return the nodes and all that can be reached from them without reading a character."""
    found: set[_Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in found and (is_at_start or not node.is_at_start):
            found.add(node)
            if not node.test and (is_at_end or not node.is_at_end):
                waiting += node.next
    return frozenset(found)


def _make_test(operator: Any, argument: Any) -> Test:
    match operator:
        case op.LITERAL:
            return chr(argument).__eq__
        case op.NOT_LITERAL:
            return chr(argument).__ne__
        case op.RANGE:
            least, most = map(chr, argument)
            return lambda char: least <= char <= most
        case op.CATEGORY:
            return _CATEGORIES[argument]
        case op.ANY:
            return lambda char: char not in "\n\r\u2028\u2029"
    is_negated = argument[0][0] is op.NEGATE
    tests = list(_make_tests(argument[is_negated:]))
    return lambda char: any(test(char) for test in tests) != is_negated


def _make_tests(items: Iterable[Any]) -> Iterator[Test]:
    for operator, argument in items:
        yield _make_test(operator, argument)
