"""What became of mutants."""

from typing import NamedTuple

from tools.mutants.survivors import Survivor, write_entry

_LEAST_KILLED = 0.9


class Mutant(NamedTuple):
    """A place in a module and what to change there."""

    file: str
    line: int
    column: int
    operator: str
    occurrence: int

    @property
    def name(self) -> str:
        """The mutant as an argument of the command, with its operator."""
        return f"{self.file}:{self.line}:{self.column} {self.operator}"


class Result(NamedTuple):
    """The outcome of a mutant's tests."""

    mutant: Mutant
    survivor: Survivor
    outcome: str
    """`killed`, `ended` after too long a time, `survived`, or `untested` if no test runs its lines."""
    seconds: float

    @property
    def is_killed(self) -> bool:
        """Whether the tests noticed the mutant."""
        return self.outcome in {"killed", "ended"}


def report(results: list[Result], survivors: dict[Survivor, str]) -> int:
    """Print the rate and the survivors without a reason, and return the exit status."""
    killed = [result for result in results if result.is_killed]
    unlisted = [result for result in results if not result.is_killed and result.survivor not in survivors]
    listed = len(results) - len(killed) - len(unlisted)
    rate = len(killed) / len(results)
    print(
        f"{rate:.1%} killed: {len(killed)} of {len(results)}. {listed} survivors have a reason, {len(unlisted)} none."
    )
    for result in killed:
        if result.survivor in survivors:
            print(f"Listed as a survivor, but killed: {result.mutant.name}")
    if unlisted:
        print("Write a test for each, or list it with a reason in tools/mutants/survivors.toml:")
    for result in unlisted:
        print(f"\n# {result.mutant.name}, {result.outcome}\n{write_entry(result.survivor)}")
    return int(bool(unlisted) or rate < _LEAST_KILLED)
