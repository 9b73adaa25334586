"""Environment of Python child processes that import this package."""

import os
import sysconfig
from pathlib import Path

_SOURCES = Path(__file__).resolve().parents[1]


def child_environment() -> dict[str, str]:
    """Return this process's environment, changed so that a child can import this package from a source tree."""
    if str(_SOURCES) == sysconfig.get_path("purelib"):
        return dict(os.environ)
    paths = [str(_SOURCES), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
