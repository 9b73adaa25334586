"""A copy of the repository, in which one module at a time is a mutant."""

import json
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.mutants.messages import Answer, Request
from tools.mutants.targets import ROOT, Target, list_tests

_LEFT_OUT = {"clients", "dist", "htmlcov", "site", "__pycache__"}
_SHOWN_CHARACTERS = 4_000


class Workspace:
    """Runs tests in its copy. It exists within a `with` block."""

    def __init__(self, folder: Path) -> None:
        """Take a folder that does not exist."""
        self.folder = folder
        self._output_file = folder.with_suffix(".out")
        self._workers: dict[Target, subprocess.Popen[str]] = {}
        self._changes = 0

    def __enter__(self) -> Self:
        shutil.copytree(ROOT, self.folder, ignore=_list_left_out, symlinks=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers.values():
            if worker.stdin:
                worker.stdin.close()
            worker.wait()
        shutil.rmtree(self.folder)
        self._output_file.unlink(missing_ok=True)

    @property
    def output(self) -> str:
        """The end of what the last tests have written."""
        with suppress(FileNotFoundError):
            return self._output_file.read_text(encoding="utf-8", errors="replace")[-_SHOWN_CHARACTERS:]
        return ""

    def run(self, target: Target, request: Request) -> Answer:
        """Run tests of a target.

        Raises:
            ChildProcessError: pytest cannot be run at all.
        """
        worker = self._workers.get(target) or self._start(target)
        print(json.dumps(request._asdict()), file=worker.stdin, flush=True)
        answer = worker.stdout.readline() if worker.stdout else ""
        if not answer:
            raise ChildProcessError(f"The tests cannot be collected: {self.output}")
        return Answer(**json.loads(answer))

    def replace(self, file: str, code: str) -> None:
        """Change a module."""
        path = self.folder / file
        path.write_text(code, encoding="utf-8")
        # Python takes compiled code from its cache if size and second are the same.
        self._changes += 1
        os.utime(path, (self._changes, self._changes))

    def _start(self, target: Target) -> subprocess.Popen[str]:
        paths = ("", "layers/shared", "packages/local_engine/src")
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(self.folder / path) for path in paths),
            "HYPOTHESIS_PROFILE": "quick",
            "MUTANTS_OUTPUT": str(self._output_file),
        }
        tests = list_tests(target, ROOT)
        worker = subprocess.Popen(  # noqa: S603 - our own program
            [ROOT / ".venv/bin/python", "-m", "tools.mutants.worker", self.folder / target.folder, *tests],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._workers[target] = worker
        return worker


def _list_left_out(folder: str, names: list[str]) -> set[str]:
    hidden = {name for name in names if name.startswith(".") and Path(folder) == ROOT}
    return (hidden - {".python-version"}) | (_LEFT_OUT & set(names) if Path(folder) == ROOT else {"__pycache__"})
