"""Builds the code of a function or a layer with its Makefile, as `sam build` does with `BuildMethod: makefile`."""

import asyncio
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from local_engine.building.folders import keep_folder, list_files
from local_engine.building.requirements import BuildError, run_build
from local_engine.template.stack import CodeFolder

_RECORD = "sources.json"
_IGNORED = shutil.ignore_patterns(".git", ".local", ".aws-sam", "__pycache__", "node_modules")


class MakefileBuild:
    """The build of one folder, kept by the content that it is made of."""

    def __init__(self, code: CodeFolder, builds: Path, *, is_layered: bool) -> None:
        """Take a folder with code.

        Args:
            code: the folder.
            builds: the folder that keeps builds.
            is_layered: whether Python packages that the Makefile copies as they are will be imported from `code`
                itself. Then edits of them need no build.
        """
        self._code = code
        self._is_layered = is_layered
        sources = {Path(file.path).relative_to(code.path).as_posix() for file in list_files(code.path)}
        other = (name for name in sources if not name.endswith(".py"))
        self._key = self._hash([code.build_id, sys.implementation.cache_tag], other)
        self._python_sources = [name for name in sources if name.endswith(".py")]
        self._builds = builds
        self._record = builds / f"{self._key}-{is_layered:d}-{_RECORD}"

    def find(self) -> Path | None:
        """Return the finished build, or None."""
        try:
            copied = json.loads(self._record.read_text())
        except (OSError, ValueError):
            return None
        folder = self._folder(copied)
        return folder if folder.is_dir() else None

    async def run(self) -> Path:
        """Build, and return the folder.

        Raises:
            BuildError: make is missing or fails.
        """
        make = shutil.which("make")
        if make is None:
            raise BuildError("make is not installed.")
        self._builds.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._builds) as scratch:
            artifacts, copy = Path(scratch, "artifacts"), Path(scratch, "source")
            await asyncio.to_thread(self._copy_sources, copy, artifacts)
            command = [make, "--makefile", str(self._code.path / "Makefile"), f"build-{self._code.build_id}"]
            failure = await run_build(command, copy, {"ARTIFACTS_DIR": str(artifacts)})
            if failure is not None:
                raise BuildError(failure)
            # A package counts as copied with files that are added to it later.
            copied = sorted({name.partition("/")[0] for name in self._python_sources if self._copies(name, artifacts)})
            self._record.write_text(json.dumps(copied))
            folder = self._folder(copied)
            keep_folder(artifacts, folder)
        return folder

    def _copy_sources(self, copy: Path, artifacts: Path) -> None:
        shutil.copytree(self._code.path, copy, ignore=_IGNORED)
        artifacts.mkdir()

    def _copies(self, name: str, artifacts: Path) -> bool:
        return self._is_layered and any((folder / name).is_file() for folder in (artifacts, artifacts / "python"))

    def _folder(self, copied: list[str]) -> Path:
        built = [name for name in self._python_sources if name.partition("/")[0] not in copied]
        return self._builds / self._hash([self._key], built)

    def _hash(self, texts: Iterable[str | None], names: Iterable[str]) -> str:
        content = hashlib.sha256("\0".join(map(str, texts)).encode())
        for name in sorted(names):
            content.update(f"\0{name}\0".encode())
            try:
                content.update((self._code.path / name).read_bytes())
            except OSError:
                continue
        return content.hexdigest()[:16]
