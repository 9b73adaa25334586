"""Changes of a project's files, written all together or not at all."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_RUFF = Path(sys.executable).with_name("ruff")


class ScaffoldError(Exception):
    """A command cannot do what it is asked; the message says why and what to do."""


class Changes:
    """Files of a project as they will be; `write` puts them on the disk.

    Attributes:
        project: the folder of the project.
    """

    def __init__(self, project: Path) -> None:
        self.project = project
        self._texts: dict[str, str | None] = {}
        self._folders: list[str] = []

    def exists(self, name: str) -> bool:
        """Return whether a file or folder will be there."""
        if name in self._texts:
            return self._texts[name] is not None
        return (self.project / name).exists() and not any(_is_below(name, folder) for folder in self._folders)

    def read(self, name: str) -> str:
        """Return the text that a file will have."""
        text = self._texts.get(name)
        return (self.project / name).read_text(encoding="utf-8") if text is None else text

    def create(self, name: str, text: str) -> None:
        """Add a file.

        Raises:
            ScaffoldError: it is there already.
        """
        if self.exists(name):
            raise ScaffoldError(f"{name} exists; choose another name, or delete it first.")
        self._texts[name] = text

    def replace(self, name: str, text: str) -> None:
        """Change a file."""
        self._texts[name] = text

    def edit(self, name: str, pattern: str, new: str | Callable[[re.Match[str]], str]) -> None:
        """Replace what a pattern matches in a file, if the file is there.

        Raises:
            ScaffoldError: it matches nothing, so the file has other words than the command was written for.
        """
        if not self.exists(name):
            return
        text, count = re.subn(pattern, new, self.read(name), flags=re.MULTILINE)
        if not count:
            raise ScaffoldError(f"Nothing in {name} matches {pattern!r}.")
        self.replace(name, text)

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it."""
        if (self.project / name).is_dir():
            self._folders.append(name)
            self._texts = {path: text for path, text in self._texts.items() if not _is_below(path, name)}
        else:
            self._texts[name] = None

    def list_files(self, folder: str, pattern: str) -> Iterator[str]:
        """Yield the files below a folder that will be there, by a pattern of their names."""
        found = {path.relative_to(self.project).as_posix() for path in (self.project / folder).rglob(pattern)}
        found |= {name for name in self._texts if Path(name).match(f"{folder}/**/{pattern}")}
        yield from sorted(name for name in found if self.exists(name) and "__pycache__" not in name)

    def write(self) -> list[str]:
        """Write the changes, Python source as the formatter has it; return a line for each file, folder by folder.

        Raises:
            ScaffoldError: the formatter cannot read a file.
        """
        report, sources = [], []
        for folder in self._folders:
            shutil.rmtree(self.project / folder, ignore_errors=True)
            report.append(f"removed  {folder}")
        for name, text in sorted(self._texts.items()):
            path = self.project / name
            if text is None:
                path.unlink(missing_ok=True)
                report.append(f"removed  {name}")
                continue
            before = path.read_text(encoding="utf-8") if path.exists() else None
            if text != before:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                report.append(f"{'added' if before is None else 'changed':8} {name}")
                sources += [path] if path.suffix == ".py" else []
        if sources:
            format_source(self.project, sources)
        return report


def format_source(project: Path, paths: Sequence[Path]) -> bool:
    """Sort imports and format files as the project's settings say; return False if no formatter is installed.

    Raises:
        ScaffoldError: the formatter cannot read a file.
    """
    if not _RUFF.exists():
        return False
    for command in (["check", "--select", "I", "--fix"], ["format"]):
        # A command leaves no cache in the project.
        words = [str(_RUFF), *command, "--no-cache", "--quiet", *map(str, paths)]
        done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
        if done.returncode:
            raise ScaffoldError(f"ruff {command[0]} fails: {' '.join((done.stderr or done.stdout).split())}")
    return True


def report_changes(action: Callable[[], list[str]]) -> int:
    """Run a command and print what it did; return 2 after a sentence if it could not, and then nothing is written."""
    try:
        lines = action()
    except ScaffoldError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


def _is_below(name: str, folder: str) -> bool:
    return name == folder or name.startswith(f"{folder}/")
