"""`make mutants`: runs the unit tests against mutants of the layer and the engine's gateway."""

import argparse
import os
import queue
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tools.command_parser import CommandParser
from tools.mutants.messages import Request
from tools.mutants.mutations import apply_mutant, list_mutants
from tools.mutants.outcomes import Mutant, Result, report
from tools.mutants.selection import Selection
from tools.mutants.survivors import Survivor, find_stale, read_survivors
from tools.mutants.targets import ROOT, TARGETS, find_target, list_sources, list_tests
from tools.mutants.workspace import Workspace

_CACHE = ROOT / ".mutants"
_SURVIVORS = ROOT / "tools/mutants/survivors.toml"
_SAMPLE = 200
_LEAST_SECONDS = 120
# A busy machine, or a mutant that loops.
_SLOWNESS = 10


class Pool:
    """Workspaces, each used by one thread at a time."""

    def __init__(self, workspaces: list[Workspace]) -> None:
        """Take the workspaces."""
        self._free: queue.SimpleQueue[Workspace] = queue.SimpleQueue()
        self._executor = ThreadPoolExecutor(len(workspaces))
        for workspace in workspaces:
            self._free.put(workspace)

    def map[T, R](self, function: Callable[[T, Workspace], R], values: list[T]) -> Iterator[R]:
        """Call a function for each value, with a workspace, and return the results in the values' order."""

        def call(value: T) -> R:
            workspace = self._free.get()
            try:
                return function(value, workspace)
            finally:
                self._free.put(workspace)

        return self._executor.map(call, values)

    def close(self) -> None:
        """Wait for what runs, and start nothing more."""
        self._executor.shutdown(cancel_futures=True)


@contextmanager
def open_pool(processes: int) -> Iterator[Pool]:
    """Return as many workspaces as tests may run at the same time."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ExitStack() as stack:
        pool = Pool([stack.enter_context(Workspace(Path(folder) / str(number))) for number in range(processes)])
        stack.callback(pool.close)
        yield pool


def main() -> int:
    """Run the command and return its exit status."""
    options = _read_options()
    survivors = read_survivors(_SURVIVORS)
    if stale := find_stale(ROOT, survivors):
        print("tools/mutants/survivors.toml lists mutants of code that is no longer there:", *stale, sep="\n  ")
        return 1
    modules = _find_modules(options.modules)
    mutants = [mutant for file, line in modules for mutant in list_mutants(ROOT, file) if line in (None, mutant.line)]
    if not mutants:
        print(f"No mutant is in {' '.join(options.modules)}.", file=sys.stderr)
        return 2
    size = options.sample or (len(mutants) if options.all or options.modules else _SAMPLE)
    chosen = mutants
    if size < len(mutants):
        chosen = random.Random(options.seed).sample(mutants, size)  # noqa: S311 - a sample is no secret
    sampled = f", chosen with the seed {options.seed}" if chosen is not mutants else ""
    print(f"{len(chosen)} of the {len(mutants)} mutants of {len({file for file, _ in modules})} modules{sampled}")
    try:
        results = run_mutants(chosen, options.processes)
    except ChildProcessError as error:
        print(error, file=sys.stderr)
        return 2
    return report(results, survivors)


def run_mutants(mutants: list[Mutant], processes: int) -> list[Result]:
    """Run the tests of each mutant, and print the outcomes as they arrive.

    Raises:
        ChildProcessError: tests fail without a mutant.
    """
    selection = Selection(_CACHE)
    targets = {find_target(mutant.file) for mutant in mutants}
    with open_pool(processes) as pool:
        files = [(target, test) for target in TARGETS if target in targets for test in list_tests(target, ROOT)]
        print(f"Measuring which lines {len(files)} test files run, if they have changed", flush=True)
        for _ in pool.map(lambda file, workspace: selection.measure(*file, workspace), files):
            pass
        results = []
        for result in pool.map(lambda mutant, workspace: _run_mutant(mutant, workspace, selection), mutants):
            results.append(result)
            print(f"{len(results):4} {result.outcome:8} {result.seconds:5.1f} s  {result.mutant.name}", flush=True)
    return results


def _run_mutant(mutant: Mutant, workspace: Workspace, selection: Selection) -> Result:
    root = workspace.folder
    change = apply_mutant(root, mutant)
    survivor = Survivor(mutant.file, change.before, change.after)
    tests, seconds = selection.find_tests(root, mutant.file, mutant.line)
    if not tests:
        return Result(mutant, survivor, "untested", 0)
    source = (root / mutant.file).read_text(encoding="utf-8")
    workspace.replace(mutant.file, change.code)
    request = Request(["-x", "--quiet", "--no-header", *tests], _LEAST_SECONDS + _SLOWNESS * seconds)
    answer = workspace.run(find_target(mutant.file), request)
    workspace.replace(mutant.file, source)
    outcome = {0: "survived", None: "ended"}.get(answer.status, "killed")
    return Result(mutant, survivor, outcome, answer.processor_seconds)


def _read_options() -> argparse.Namespace:
    week = datetime.now(UTC).strftime("%G-W%V")
    parser = CommandParser(prog="make mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", help="modules, folders, or lines such as http/request.py:120")
    parser.add_argument("--sample", type=_read_size, help=f"how many to choose ({_SAMPLE}, or all of given modules)")
    parser.add_argument("--seed", default=week, help="chooses the sample (the week: %(default)s)")
    parser.add_argument("--all", action="store_true", help="run all mutants, which takes hours")
    processes = os.cpu_count() or 1
    parser.add_argument("--processes", type=_read_size, default=processes, help="tests at the same time (%(default)s)")
    return parser.parse_args()


def _read_size(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least one")
    return int(text)


def _find_modules(names: list[str]) -> list[tuple[str, int | None]]:
    """Return the modules whose paths end with one of the names, with the line of each name."""
    files = [source for target in TARGETS for source in list_sources(target, ROOT)]
    if not names:
        return [(file, None) for file in files]
    places = [name.partition(":") for name in names]
    return [
        (file, int(line) if line else None)
        for path, _, line in places
        for file in files
        if f"/{file}".endswith(f"/{path}") or f"/{path.rstrip('/')}/" in f"/{file}"
    ]


if __name__ == "__main__":
    sys.exit(main())
