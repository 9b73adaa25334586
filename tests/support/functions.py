"""Imports one function as Lambda does: its folder is where its own modules are found."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch


@contextmanager
def import_function(folder: Path) -> Iterator[Any]:
    """The handler of the `app.py` in a folder, imported anew with its own modules."""
    own = {path.stem for path in folder.glob("*.py")}
    kept = {module: sys.modules.pop(module) for module in own if module in sys.modules}
    try:
        with patch.object(sys, "path", [str(folder), *sys.path]):
            yield importlib.import_module("app").handler
    finally:
        for module in own:
            sys.modules.pop(module, None)
        sys.modules.update(kept)
