"""Builds artifacts as they are deployed: each is zipped, and unzipped into a read-only folder.

One folder with bytecode holds Lambda's runtime (the interpreter, awslambdaric, boto3) for all. An artifact contains the
bytecode that its own build ships: none with pip as `sam build` calls it, none with `chalice package`.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.benchmarks.cold_start.peers import PEERS, Function, Peer
from tools.benchmarks.machine import ROOT, BenchmarkError, build_stack, tool_environment

WORK_DIRECTORY = ROOT / ".bench/cold_start"
RUNTIME_REQUIREMENTS = Path(__file__).with_name("runtime.in")
LOCK = ROOT / "tools/benchmarks/requirements.txt"
# Artifacts do not ship what Lambda's runtime has, nor what the layer has.
_NOT_SHIPPED = ("boto3", "botocore", "python-dateutil", "s3transfer", "six", "urllib3")


@dataclass(frozen=True)
class Artifact:
    """A peer as it is deployed.

    Attributes:
        list_function: serves the list.
        create_function: serves the creation; it may be the same function.
        zipped_bytes: size of the list function's package and layer.
    """

    list_function: Function
    create_function: Function
    zipped_bytes: int


def make_runtime() -> Path:
    """Return the interpreter of an environment with the packages of Lambda's runtime."""
    directory = WORK_DIRECTORY / "runtime"
    python = directory / "bin/python"
    if _is_outdated(directory, RUNTIME_REQUIREMENTS):
        _remove(directory)
        _run([sys.executable, "-m", "venv", "--without-pip", str(directory)])
        _run([sys.executable, "-m", "pip", "--python", str(python), *_install(_pin(RUNTIME_REQUIREMENTS))])
        _mark(directory, RUNTIME_REQUIREMENTS)
    return python


def make_artifact(peer: Peer) -> Artifact:
    """Build a peer or this project as it is deployed.

    Raises:
        BenchmarkError: the build fails.
    """
    return _make_peer(peer, peer.folder) if peer.folder else _make_project(peer)


def copy_without_bytecode(layer: Path, name: str) -> Path:
    """Return a copy of a layer that contains only its sources."""
    copy = WORK_DIRECTORY / name
    _remove(copy)
    shutil.copytree(layer, copy, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    _freeze(copy)
    return copy


def copy_with_bytecode(layer: Path, name: str) -> Path:
    """Return a copy of a layer with the bytecode of all its sources, compiled as in AWS's guide to layers."""
    copy = WORK_DIRECTORY / name
    _remove(copy)
    shutil.copytree(layer, copy)
    _thaw(copy)
    _run([sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(copy)])
    _freeze(copy)
    return copy


def deploy_changed(layer: Path, name: str, change: Callable[[Path], None]) -> tuple[Path, int]:
    """Deploy a changed copy of a layer, with its bytecode.

    Args:
        layer: the layer to copy.
        name: name of the copy.
        change: is called with the folder of the copy's packages, to change them.

    Returns:
        The folder that becomes /opt in Lambda, and the size of the zipped layer in bytes.
    """
    copy = WORK_DIRECTORY / "layers" / name
    _remove(copy)
    shutil.copytree(layer, copy)
    _thaw(copy)
    change(copy / "python")
    _run([sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(copy)])
    return _deploy(copy, f"layers/{name}"), _archive(f"layers/{name}").stat().st_size


def install_packages(requirements: Path, directory: Path, not_shipped: Iterable[str] = _NOT_SHIPPED) -> None:
    """Install locked packages into a folder, as `sam build` does it.

    Args:
        requirements: the packages without versions; `LOCK` pins them and their dependencies.
        directory: the folder.
        not_shipped: packages to leave out.
    """
    options = ["--no-compile", "--no-deps", "--target", str(directory)]
    _run([sys.executable, "-m", "pip", *_install(_pin(requirements, not_shipped)), *options])


def has_bytecode(layer: Path) -> bool:
    return any(layer.rglob("*.pyc"))


def list_files(function: Function) -> frozenset[Path]:
    """Return all files of a function in the folders that are read-only in Lambda."""
    directories = [function.task, *([function.layer] if function.layer else [])]
    return frozenset(path for directory in directories for path in directory.rglob("*"))


def _make_project(peer: Peer) -> Artifact:
    built = build_stack(ROOT / "template.yaml", WORK_DIRECTORY / "build").parent
    layer = _deploy(built / "SharedLayer", "project/layer")
    functions = {
        name: Function(_deploy(built / name, f"project/{name}"), layer, "app.handler", peer.variables)
        for name in ("ListResources", "CreateResource")
    }
    zipped = sum(_archive(f"project/{name}").stat().st_size for name in ("layer", "ListResources"))
    return Artifact(functions["ListResources"], functions["CreateResource"], zipped)


def _make_peer(peer: Peer, folder: str) -> Artifact:
    source = PEERS / folder
    package = WORK_DIRECTORY / "packages" / folder
    requirements = source / "requirements.in"
    if (source / ".chalice").exists():
        _package_with_chalice(source, package)
    else:
        if _is_outdated(package, requirements):
            _remove(package)
            package.mkdir(parents=True)
            if re.search(r"^\w", requirements.read_text(), re.MULTILINE):
                install_packages(requirements, package)
            _mark(package, requirements)
        shutil.copy(source / "app.py", package / "app.py")
    function = Function(_deploy(package, folder), None, peer.handler, peer.variables)
    return Artifact(function, function, _archive(folder).stat().st_size)


def _package_with_chalice(source: Path, package: Path) -> None:
    command = WORK_DIRECTORY / "chalice"
    requirements = source / "requirements.in"
    if _is_outdated(command, requirements):
        _remove(command)
        _run([sys.executable, "-m", "pip", *_install(_pin(requirements)), "--target", str(command)])
        _mark(command, requirements)
    project = WORK_DIRECTORY / "chalice-project"
    for directory in (project, package):
        _remove(directory)
    shutil.copytree(source, project)
    # Chalice would package what is named here.
    (project / "requirements.txt").write_text("")
    out = WORK_DIRECTORY / "chalice-out"
    variables = {"PYTHONPATH": str(command), "TABLE_NAME": "", "AWS_DEFAULT_REGION": "us-east-1"}
    start = "from chalice.cli import main; raise SystemExit(main())"
    _run([sys.executable, "-c", start, "--project-dir", str(project), "package", str(out)], variables)
    with zipfile.ZipFile(out / "deployment.zip") as archive:
        archive.extractall(package)


def _deploy(directory: Path, name: str) -> Path:
    """Zip a folder, unzip it elsewhere, and return the new folder."""
    archive = _archive(name)
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        for file in sorted(directory.rglob("*")):
            if file.is_file() and file.name != _MARK:
                writer.write(file, file.relative_to(directory))
    deployed = WORK_DIRECTORY / "deployed" / name
    _remove(deployed)
    with zipfile.ZipFile(archive) as reader:
        reader.extractall(deployed)
    _freeze(deployed)
    return deployed


def _archive(name: str) -> Path:
    return WORK_DIRECTORY / "archives" / f"{name}.zip"


def _pin(requirements: Path, not_shipped: Iterable[str] = ()) -> Path:
    """Return a file with the part of `LOCK` that some requirements need."""
    options = ["--quiet", "--no-header", "--no-annotate", "--constraint", str(LOCK)]
    options += [f"--no-emit-package={name}" for name in not_shipped]
    needed = _run([str(Path(sys.executable).with_name("uv")), "pip", "compile", *options, str(requirements)])
    names = set(re.findall(r"^([a-z0-9-]+)==", needed, re.MULTILINE))
    pins = WORK_DIRECTORY / "pins" / f"{requirements.parent.name}-{requirements.stem}.txt"
    pins.parent.mkdir(parents=True, exist_ok=True)
    blocks = re.split(r"^(?=\w)", LOCK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    pins.write_text("".join(block for block in blocks if block.partition("==")[0] in names), encoding="utf-8")
    return pins


def _install(requirements: Path) -> list[str]:
    options = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    return ["install", *options, "--require-hashes", "--requirement", str(requirements)]


def _run(command: list[str], variables: dict[str, str] | None = None) -> str:
    # With this variable, pip would install packages without bytecode.
    environment = {entry: value for entry, value in tool_environment().items() if entry != "PYTHONDONTWRITEBYTECODE"}
    environment |= variables or {}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise BenchmarkError(f"`{' '.join(command)}` fails:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


_MARK = ".requirements.sha256"


def _is_outdated(directory: Path, requirements: Path) -> bool:
    mark = directory / _MARK
    return not mark.exists() or mark.read_text() != _digest(requirements)


def _mark(directory: Path, requirements: Path) -> None:
    (directory / _MARK).write_text(_digest(requirements))


def _digest(requirements: Path) -> str:
    return hashlib.sha256(LOCK.read_bytes() + requirements.read_bytes()).hexdigest()


def _freeze(directory: Path) -> None:
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


def _thaw(directory: Path) -> None:
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _remove(directory: Path) -> None:
    if directory.exists():
        _thaw(directory)
        shutil.rmtree(directory)
