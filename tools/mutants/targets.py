"""What is mutated, and the tests that must notice it."""

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Target(NamedTuple):
    """Code and the tests that must notice its mutants. Paths are relative to the repository."""

    sources: str
    folder: str
    """Where pytest runs."""
    tests: tuple[str, ...]
    """Patterns of test files below the folder."""
    programs: tuple[tuple[str, str], ...] = ()
    """Modules with tests that start programs with an environment of the tests' choice, so that nothing is measured."""


TARGETS = (
    # The unit tests except those of the tools, and other tests that start no engine.
    Target(
        "layers/shared",
        ".",
        (
            "tests/unit/*/test_*.py",
            "tests/records/test_publishing.py",
            "tests/streaming/test_runtime.py",
        ),
        (
            ("environment/settings.py", "tests/unit/resources/test_settings.py"),
            ("http/snapshot.py", "tests/unit/http/test_snapshot.py"),
            ("serverless_api/streaming_runtime.py", "tests/streaming/test_runtime.py"),
        ),
    ),
    Target(
        "packages/local_engine/src/local_engine/gateway",
        "packages/local_engine",
        (
            "tests/test_*authorizer*.py",
            "tests/test_access_log.py",
            "tests/test_callers.py",
            "tests/test_function_urls.py",
            "tests/test_gateway.py",
            "tests/test_http_edges.py",
            "tests/test_iam_authorization.py",
            "tests/test_identity_sources.py",
            "tests/test_invoke_api.py",
            "tests/test_issuer.py",
            "tests/test_policies.py",
            "tests/test_request_validation.py",
            "tests/test_response_cache.py",
            "tests/test_response_status.py",
            "tests/test_rest_*.py",
            "tests/test_signatures_over_http.py",
            "tests/test_throttling.py",
            "tests/test_unserved_parts.py",
        ),
    ),
)


def list_sources(target: Target, root: Path) -> list[str]:
    """Return the paths of a target's modules."""
    return sorted(str(path.relative_to(root)) for path in (root / target.sources).rglob("*.py"))


def list_tests(target: Target, root: Path) -> list[str]:
    """Return the paths of a target's test files, relative to its folder."""
    folder = root / target.folder
    return sorted({str(path.relative_to(folder)) for pattern in target.tests for path in folder.glob(pattern)})


def find_target(source: str) -> Target:
    """Return the target of a module."""
    return next(target for target in TARGETS if source.startswith(f"{target.sources}/"))
