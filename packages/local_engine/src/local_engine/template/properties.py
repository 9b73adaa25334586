"""Evaluated properties of resources, of which some may be impossible to evaluate."""

from collections.abc import Mapping
from typing import Any, override

from local_engine.template.errors import Unresolved


class Properties(dict[str, Any]):
    """A resource's properties, evaluated. Reading one that cannot be evaluated raises `Unresolved`.

    Iteration, and so `dict(properties)`, leaves those out.
    """

    def __init__(self, values: Mapping[str, Any], unresolved: Mapping[str, str] | None = None) -> None:
        """Take the evaluated values, and a sentence for each property that cannot be evaluated."""
        super().__init__(values)
        self.unresolved = unresolved or {}

    @override
    def __getitem__(self, name: str) -> Any:
        self._check(name)
        return super().__getitem__(name)

    @override
    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self.unresolved

    @override
    def get(self, name: str, default: Any = None, /) -> Any:
        self._check(name)
        return super().get(name, default)

    def _check(self, name: str) -> None:
        if name in self.unresolved:
            raise Unresolved(self.unresolved[name])
