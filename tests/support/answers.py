"""Errors that functions and the gateway can answer, read from their code: statuses and the texts that go with them."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from local_engine import gateway
from tests.support.stack import ROOT, Route

type Answers = Mapping[int, set[str]]
"""Patterns of the texts, by status."""

_LAYER = ROOT / "layers" / "shared"
_GATEWAY = Path(gateway.__file__).parent
# The names by which handlers and the endpoint call these objects.
_VARIABLES = {"request": "Request", "caller": "Caller", "exchange": "Exchange"}


class _Code:
    """Functions, classes and the nouns' collections of the layer, by their names."""

    def __init__(self) -> None:
        self.functions: dict[str, ast.FunctionDef] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        self.variables = dict(_VARIABLES)
        for path in sorted(_LAYER.glob("*/**/*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                match node:
                    case ast.FunctionDef():
                        self.functions[node.name] = node
                    case ast.ClassDef():
                        self.classes[node.name] = node
                    case ast.Assign(targets=[ast.Name(name)], value=ast.Call(func=ast.Name(kind))):
                        self.variables.setdefault(name, kind)

    def find_status(self, name: str) -> int | None:
        """The status of an error's class; None for another class."""
        for kind in self._list_bases(name):
            for node in kind.body:
                match node:
                    case ast.Assign(targets=[ast.Name("status")], value=ast.Constant(int(status))):
                        return status
        return None

    def find_method(self, kind: str, name: str) -> ast.FunctionDef | None:
        methods = (node for base in self._list_bases(kind) for node in base.body if isinstance(node, ast.FunctionDef))
        return next((method for method in methods if method.name == name), None)

    def _list_bases(self, name: str) -> Iterator[ast.ClassDef]:
        if name in self.classes:
            yield self.classes[name]
            for base in self.classes[name].bases:
                yield from self._list_bases(ast.unparse(base))


@cache
def _read_code() -> _Code:
    return _Code()


@cache
def find_function_answers(route: Route) -> Answers:
    """The errors that a route's function can answer: those that it, the endpoint and what they call construct."""
    code = _read_code()
    tree = ast.parse((route.folder / "app.py").read_text(encoding="utf-8"))
    (handler,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "handler"]
    found: dict[int, set[str]] = defaultdict(set)
    seen: set[tuple[str, int]] = set()

    def walk(function: ast.FunctionDef, owner: str) -> None:
        if (owner, id(function)) in seen:
            return
        seen.add((owner, id(function)))
        for call in ast.walk(function):
            match call:
                case ast.Call(func=ast.Name(name)) if status := code.find_status(name):
                    found[status].add(_read_text(code, name, call))
                case ast.Call(func=ast.Name(name)) if name in code.functions:
                    walk(code.functions[name], "")
                case ast.Call(func=ast.Attribute(value=ast.Name(variable), attr=name)):
                    kind = owner if variable == "self" else code.variables.get(variable, "")
                    if method := code.find_method(kind, name):
                        walk(method, kind)

    walk(handler, "")
    walk(code.functions["endpoint"], "")
    return found


@cache
def list_error_statuses() -> frozenset[int]:
    """The statuses for which the house has an error."""
    code = _read_code()
    return frozenset(status for name in code.classes if (status := code.find_status(name)))


@cache
def find_gateway_answers() -> Answers:
    """The errors that the gateway itself answers, as the local engine has them."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in sorted(_GATEWAY.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(ast.Name("Rejection"), [ast.Constant(int(status)), ast.Constant(str(text)), *_]):
                    found[status].add(re.escape(text))
                # A choice between two, such as 401 and 403.
                case ast.Tuple([ast.Constant(int(status)), ast.Constant(str(text))]) if " " in text or text.isalpha():
                    found[status].add(re.escape(text))
    return found


def _read_text(code: _Code, name: str, call: ast.Call) -> str:
    """The pattern of an error's message: the first argument, or its default."""
    message: ast.expr | None = call.args[0] if call.args else None
    if message is None:
        constructor = code.find_method(name, "__init__")
        assert constructor is not None
        message = constructor.args.defaults[0]
    match message:
        case ast.Constant(str(text)):
            return re.escape(text)
        case ast.JoinedStr(values):
            return "".join(re.escape(part.value) if isinstance(part, ast.Constant) else ".+" for part in values)
        case _:
            return ".+"
