"""Python source as the project's formatter writes it."""

import re
import subprocess
import sys
from pathlib import Path

_RUFF = Path(sys.executable).with_name("ruff")
_IMPORTS = re.compile(r"(?:^from \S+ import .+\n)+", re.MULTILINE)


def format_source(text: str) -> str:
    """Return source with sorted imports, and wrapped by the formatter of the environment if it is installed."""
    text = _IMPORTS.sub(lambda block: "".join(sorted(block[0].splitlines(keepends=True))), text)
    if not _RUFF.exists():
        return text
    command = [str(_RUFF), "format", "--quiet", "--line-length", "120", "--isolated", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)  # noqa: S603 - fixed words
    return done.stdout


def format_project(project: Path) -> bool:
    """Sort the imports and format every file, samples in pages included; return False if no formatter is installed."""
    if not _RUFF.exists():
        return False
    for command in (["check", "--quiet", "--select", "I", "--fix"], ["format", "--quiet"]):
        subprocess.run([str(_RUFF), *command, str(project)], check=True)  # noqa: S603 - fixed words
    return True
