"""Installs a `requirements.txt` into a separate folder, as `sam build` does."""

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import platform
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_NAME = "requirements.txt"
# Ends a build and all its children when this process ends, however that happens: standard input is then closed.
_UNTIL_END_OF_INPUT = 'exec 3<&0; (cat <&3; kill -KILL 0) >/dev/null 2>&1 & exec "$@" 3<&- </dev/null'
_FOREIGN_PREFIXES = ("AWS_", "PYTHON", "MAKE", "MFLAGS")
_SHOWN_LINES = 3
# What make says about a command that has said itself why it failed.
_MAKE_FAILURE = re.compile(r"\S*make(\[\d+\])?: \*\*\* .*Error \d+")
_NO_CONNECTION = ("connection broken by", "Max retries exceeded", "NewConnectionError", "ProxyError")
_INCLUDED = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[ =]+(\S+)", re.MULTILINE)


class BuildError(Exception):
    """Code cannot be built. The message is a sentence for the user."""


def hash_requirements(folder: Path) -> str | None:
    """Return a key for the packages that a folder's `requirements.txt` asks for; None if it asks for none."""
    contents = list(_read_files(folder / FILE_NAME, set()))
    if not any(re.search(rb"^\s*[^\s#]", content, re.MULTILINE) for content in contents):
        return None
    version = f"{sys.implementation.cache_tag} {sys.platform} {platform.machine()}"
    return hashlib.sha256(b"\0".join([version.encode(), *contents])).hexdigest()[:16]


def _read_files(path: Path, seen: set[Path]) -> Iterator[bytes]:
    if path in seen:
        return
    seen.add(path)
    try:
        content = path.read_bytes()
    except OSError:
        return
    yield content
    for name in _INCLUDED.findall(content.decode("utf-8", "replace")):
        yield from _read_files(path.parent / name, seen)


async def install_requirements(folder: Path, target: Path) -> None:
    """Install the packages of a folder's `requirements.txt` for this machine.

    Args:
        folder: the folder with the file.
        target: a folder, which is created.

    Raises:
        BuildError: pip is missing or fails.
    """
    if importlib.util.find_spec("pip") is None:
        raise BuildError(f"pip is not installed; install it with: {sys.executable} -m ensurepip")
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--retries", "1", "--target", str(target)]
    command = [sys.executable, "-m", "pip", "install", *options, "--requirement", FILE_NAME]
    error = ""
    # Source distributions may need compilers, and they run their own code.
    for choice in (["--only-binary", ":all:"], ["--upgrade"]):
        failure = await run_build([*command, *choice], folder, {})
        if failure is None:
            return
        error = error or failure
    raise BuildError(error)


async def run_build(command: list[str], folder: Path, variables: dict[str, str]) -> str | None:
    """Run a build command without settings for AWS, Python and an outer make, with this interpreter first on PATH.

    Returns:
        why it failed, or None.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_PREFIXES)}
    search_path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    with contextlib.ExitStack() as cleanup:
        lifeline, held_end = os.pipe()
        cleanup.callback(os.close, held_end)
        try:
            process = await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", _UNTIL_END_OF_INPUT, "sh", *command),
                cwd=folder,
                env={**environment, "PATH": search_path, **variables},
                stdin=lifeline,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                # Its own process group, which ends as a whole.
                start_new_session=True,
            )
        finally:
            os.close(lifeline)
        try:
            _, output = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return None if process.returncode == 0 else _find_error(output.decode("utf-8", "replace"))


def _find_error(output: str) -> str:
    """Return the lines that say best why a build failed, as a sentence."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")][-1:]
    causes = errors or [line for line in lines if not _MAKE_FAILURE.match(line)][-_SHOWN_LINES:] or lines[-1:]
    hint = "; is the network or a proxy (HTTPS_PROXY) at fault?"
    sentence = "; ".join(causes or ["it failed without a message"]).rstrip(".")
    return sentence + (hint if any(sign in output for sign in _NO_CONNECTION) else ".")
