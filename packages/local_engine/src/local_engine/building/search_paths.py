"""Finds what a function imports from where, and builds what is missing."""

import asyncio
import os
import platform
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local_engine.building.folders import keep_folder, list_files
from local_engine.building.lambda_runtime import RUNTIME_PACKAGES, link_packages
from local_engine.building.makefiles import MakefileBuild
from local_engine.building.requirements import BuildError, hash_requirements, install_requirements
from local_engine.state import state_directory
from local_engine.template.stack import CodeFolder, Function

_BUILDS_AT_ONCE = 2
_SECONDS_UNTIL_RETRY = 30.0
# The field `e_machine` in the header of an ELF file.
_MACHINES = {"x86_64": 62, "aarch64": 183}


@dataclass(frozen=True)
class SearchPath:
    """Where a function's process imports from."""

    task_root: Path
    """The folder that Lambda unpacks the function into."""
    folders: tuple[Path, ...]
    """In order: the function's code and packages, its layers, Lambda's runtime."""
    sources: tuple[tuple[Path, Path], ...]
    """Of each folder that has the user's own files, the folder and where the user edits them."""
    layers: tuple[Path, ...]
    """The folders that Lambda unpacks into `/opt`, in order."""
    state: Path
    """Where the engine keeps what belongs to the project."""


class Builder:
    """Builds the code of functions and layers, each content once."""

    def __init__(self, project: Path, notice: Callable[[str], None]) -> None:
        """Take a project.

        Args:
            project: the folder of the template.
            notice: called with a sentence when something is built, and when that fails.
        """
        self._project = project
        self._notice = notice
        self._state = state_directory(project)
        self.failed: set[str] = set()
        """What could not be built at the last attempt."""
        self._running: dict[str, asyncio.Task[Path]] = {}
        self._places = asyncio.Semaphore(_BUILDS_AT_ONCE)

    async def find_search_path(self, function: Function, tools: tuple[str, ...] = ()) -> SearchPath:
        """Return a function's search path. Builds what it lacks.

        Args:
            function: the function.
            tools: packages of this environment that the process needs besides those of Lambda's runtime.

        Raises:
            BuildError: something cannot be built.
        """
        task_root, *folders = await self._build_function(function)
        sources = [(task_root, function.code.path)]
        layers: list[Path] = []
        for layer in function.layers:
            found = await self._build_layer(layer)
            layers += found
            in_python = [folder / "python" if (folder / "python").is_dir() else folder for folder in found]
            folders += in_python
            sources += [(folder, layer.path / "python") for folder in in_python[:1] if folder.name == "python"]
            sources += [(folder, layer.path) for folder in in_python[:1]]
        runtime = link_packages(self._project, (*RUNTIME_PACKAGES, *tools))
        return SearchPath(task_root, (task_root, *folders, runtime), tuple(sources), tuple(layers), self._state)

    async def close(self) -> None:
        """End the running builds."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _build_function(self, function: Function) -> list[Path]:
        """Return the folder with a function's code, and those with its packages."""
        code = function.code
        if code.built is not None and _is_current(code.built, code.path):
            return [code.built]
        if code.build_method == "makefile":
            return [await self._make(code, function.logical_id, is_layered=False)]
        return [code.path, *await self._install(code.path, function.logical_id)]

    async def _build_layer(self, layer: CodeFolder) -> list[Path]:
        """Return the folders that together hold a layer."""
        if layer.built is not None and _is_current(layer.built, layer.path):
            return [layer.built]
        if layer.build_method == "makefile":
            return [layer.path, await self._make(layer, layer.build_id, is_layered=True)]
        # Only layers with a build method are built.
        return [layer.path, *(await self._install(layer.path, layer.build_id) if layer.build_method else [])]

    async def _make(self, code: CodeFolder, name: str, *, is_layered: bool) -> Path:
        build = MakefileBuild(code, self._state / "builds", is_layered=is_layered)
        if (folder := build.find()) is not None:
            return folder
        return await self._run(f"make {code.path}", f"Building {name} with its Makefile …", name, build.run)

    async def _install(self, folder: Path, name: str) -> list[Path]:
        """Return the folder with the packages of a `requirements.txt`, if there are any."""
        key = hash_requirements(folder)
        if key is None:
            return []
        packages = self._state / "packages" / key
        if not packages.is_dir():

            async def install() -> Path:
                packages.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(dir=packages.parent) as scratch:
                    unfinished = Path(scratch, "packages")
                    await install_requirements(folder, unfinished)
                    keep_folder(unfinished, packages)
                return packages

            await self._run(key, f"Installing the packages of {name} …", name, install)
        return [packages]

    async def _run(self, key: str, announcement: str, name: str, build: Callable[[], Awaitable[Path]]) -> Path:
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._run_once(announcement, name, build))
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    async def _run_once(self, announcement: str, name: str, build: Callable[[], Awaitable[Path]]) -> Path:
        async with self._places:
            self._notice(announcement)
            try:
                folder = await build()
            except (BuildError, OSError) as error:
                self.failed.add(name)
                sentence = f"{name} cannot be built: {error}"
                self._notice(f"{sentence} Functions that need it cannot run.")
                raise BuildError(sentence) from error
            self.failed.discard(name)
            return folder

    def _forget(self, key: str, task: "asyncio.Task[Path]") -> None:
        failed = task.cancelled() or task.exception() is not None
        # A failure is remembered for a while, so that requests do not wait for the same failure again.
        asyncio.get_running_loop().call_later(_SECONDS_UNTIL_RETRY if failed else 0, self._running.pop, key, None)


def _is_current(built: Path, source: Path) -> bool:
    """Return whether a folder of `sam build` is newer than its sources and can run here."""
    if not built.is_dir():
        return False
    try:
        built_at = (built.parent / "template.yaml").stat().st_mtime_ns
    except OSError:
        return False
    return all(file.modified < built_at for file in list_files(source)) and all(map(_fits_machine, _list_native(built)))


def _list_native(folder: Path) -> Iterator[Path]:
    for directory, _, files in os.walk(folder):
        yield from (Path(directory, name) for name in files if name.endswith(".so"))


def _fits_machine(library: Path) -> bool:
    with library.open("rb") as file:
        header = file.read(20)
    is_elf = header.startswith(b"\x7fELF")
    machine = int.from_bytes(header[18:20], "little") if is_elf else None
    return machine == _MACHINES.get(platform.machine()) if sys.platform == "linux" else not is_elf
