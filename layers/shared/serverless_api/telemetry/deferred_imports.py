"""Modules that Powertools imports at once and no function here uses: they load when they are used for the first time.

They would be a tenth of what a function imports at its cold start.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

_DEFERRED = frozenset({"aws_lambda_powertools.utilities.jmespath_utils"})
"""It finds a correlation ID by a JMESPath expression, and imports jmespath and typing_extensions."""


class _DeferringFinder:
    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in _DEFERRED:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and spec.loader:
            spec.loader = LazyLoader(spec.loader)
        return spec


def defer_imports() -> None:
    """Have the modules load on first use; call it before Powertools is imported."""
    sys.meta_path.insert(0, _DeferringFinder)
