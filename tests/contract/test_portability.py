"""The project works on Linux, on macOS and in WSL. What needs Linux is in tests that say so, and in benchmarks."""

import re
from pathlib import Path

import pytest

from tests.support.stack import ROOT

LINUX_ONLY = re.compile(
    r"/proc/|/sys/fs|cgroup|sched_[gs]etaffinity|taskset|prctl|prlimit|\bunshare\b|/dev/shm|\bsetsid\b|\bnproc\b|os\.memfd"
    r"|pidfd|select\.epoll|inotify|SIGRT|CLOCK_BOOTTIME|TCP_QUICKACK|SO_BINDTODEVICE|O_TMPFILE|awslambdaric|aws-lambda-rie|RLIMIT_"
    r"|127\.0\.0\.(?!1\b)\d|readlink -f|stat -c|xargs -r|sed -i |date -d|sha256sum|\[\"timeout\""
)
PS_WITH_TWO_HEADERS = re.compile(r"\w+=,\w+=")
"""BSD's `ps -o pid=,ppid=` takes `,ppid=` for the header of the first column."""
MARKED = {
    "tests/unit/http/snapshot_program.py": ["tests/unit/http/test_snapshot.py"],
    "tests/streaming/test_emulator.py": ["tests/streaming/test_emulator.py"],
    "tests/streaming/test_export.py": ["tests/streaming/test_export.py"],
    "tests/unit/storage/test_name_resolution.py": ["tests/unit/storage/test_name_resolution.py"],
    "tools/benchmarks/function_processes.py": [
        "tests/records/test_changes.py",
        "tests/records/test_erasure_under_load.py",
        "tests/records/test_import_experiment.py",
    ],
}
"""Programs that need Linux, and the tests that run them."""
MARKED_TESTS = {test for tests in MARKED.values() for test in tests}
LINUX_TOOLS = (
    "tools/benchmarks/cold_start/",
    "tools/benchmarks/streaming/",
    "tools/benchmarks/tracing/",
    "tools/benchmarks/tune/",
)
"""They refuse to measure anywhere else."""
EXCEPTIONS = {
    "packages/local_engine/tests/test_http_edges.py",  # 127.0.0.2 is a name in a header there, and no address
    "tests/contract/test_portability.py",
    "tools/benchmarks/machine.py",  # asks the platform where there is no /proc/cpuinfo
    "tools/benchmarks/local_engine/http_load.py",  # asks for the option before it sets it
}
SOURCES = [
    path
    for folder in ("functions", "layers", "packages", "tests", "tools", "examples")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".sh") or path.name == "Makefile"
]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def find_uses(pattern: re.Pattern[str]) -> set[str]:
    return {name(path) for path in [*SOURCES, ROOT / "Makefile"] if pattern.search(path.read_text(encoding="utf-8"))}


def test_what_needs_linux_is_in_tests_with_a_marker() -> None:
    found = {file for file in find_uses(LINUX_ONLY) - EXCEPTIONS if not file.startswith(LINUX_TOOLS)}
    assert found == set(MARKED)
    for file in MARKED_TESTS:
        assert re.search(r'needs_linux\("[^"]+"\)', (ROOT / file).read_text(encoding="utf-8"))


def test_nothing_else_is_skipped_for_its_system() -> None:
    assert find_uses(re.compile(r"mark\.needs_linux\(\"")) == MARKED_TESTS
    assert not find_uses(re.compile(r"skip(?:if)?\(.*(?:sys\.platform|platform\.system)"))


def test_ps_gets_one_header_an_option() -> None:
    assert not find_uses(PS_WITH_TWO_HEADERS) - EXCEPTIONS


def test_a_package_without_wheels_for_macos_is_for_linux_alone() -> None:
    locked = (ROOT / "tools" / "requirements" / "dev.txt").read_text(encoding="utf-8")
    assert re.search(r"^awslambdaric==\S+ ; sys_platform == 'linux' \\$", locked, re.MULTILINE)
    assert "awslambdaric" not in (ROOT / "tools" / "requirements" / "run.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "suffix", [".py", ".sh", ".toml", ".yaml", ".yml", ".json", ".md", ".txt", ".in", ".html", ".svg"]
)
def test_lines_end_as_gitattributes_says(suffix: str) -> None:
    folders = ("docs", "events", "examples", "functions", "layers", "models", "packages", "stacks", "tests", "tools")
    files = [path for folder in folders for path in (ROOT / folder).rglob(f"*{suffix}") if path.is_file()]
    assert not [name(path) for path in files if b"\r\n" in path.read_bytes()]
    assert "* text=auto eol=lf" in (ROOT / ".gitattributes").read_text(encoding="utf-8").splitlines()


def test_the_readme_says_where_the_project_runs() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for system in ("Linux", "macOS", "WSL"):
        assert system in text
