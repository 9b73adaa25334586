"""Packages that Lambda's Python runtime brings, as links to those of this environment."""

import hashlib
import importlib.util
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from local_engine.state import state_directory

RUNTIME_PACKAGES = (
    "boto3",
    "botocore",
    "dateutil",
    "jmespath",
    "s3transfer",
    "six",
    "snapshot_restore_py",
    "urllib3",
)
"""Source: "Runtime-included SDK versions" (AWS Lambda Developer Guide), and the packages that boto3 needs."""


@cache
def link_packages(project: Path, names: tuple[str, ...]) -> Path:
    """Return a folder from which exactly these packages can be imported, as far as this environment has them.

    Args:
        project: the folder of the template.
        names: names to import.
    """
    targets = sorted(target for name in names for target in _find_package(name))
    key = hashlib.sha256("\n".join(map(str, targets)).encode()).hexdigest()[:12]
    folder = state_directory(project) / "runtime" / key
    if not folder.is_dir():
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent))
        for target in targets:
            (unfinished / target.name).symlink_to(target)
        try:
            unfinished.rename(folder)
        except OSError:
            # Another process was faster.
            for link in unfinished.iterdir():
                link.unlink()
            unfinished.rmdir()
    return folder


def _find_package(name: str) -> Iterator[Path]:
    specification = importlib.util.find_spec(name)
    if specification is None or specification.origin is None:
        return
    origin = Path(specification.origin)
    package = origin.parent if specification.submodule_search_locations else origin
    yield package
    # Metadata, with the version.
    yield from package.parent.glob(f"{name}-*.dist-info")
