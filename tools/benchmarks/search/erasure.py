"""Erases a user who has searched and asked, and looks for what is left.

python -m tools.benchmarks.search.erasure --resources 1000
"""

import argparse
import json
from typing import Any
from uuid import uuid4

from tools.benchmarks.search.answers import Asker
from tools.benchmarks.search.stand import Stand, make_resources, run_search_stack, search

ERASURES = "/api/v1/erasures"
KINDS = ("resource#", "vector#", "quota#")


class Experiment:
    """One erasure.

    Attributes:
        stand: the running stack.
        resources: how many resources the user has.
    """

    def __init__(self, stand: Stand, resources: int) -> None:
        self.stand, self.resources = stand, resources

    def run(self) -> dict[str, Any]:
        """Erase the user and return what was seen.

        Raises:
            AssertionError: something is left, or something of another user is gone.
        """
        user, other = f"erased-{uuid4()}", f"kept-{uuid4()}"
        for subject, count in ((user, self.resources), (other, 3)):
            self.stand.import_resources(subject, make_resources(count, "erased"))
            with Asker(self.stand, subject) as asker:
                asker.ask("What do I know about the heating?")
        before = {kind: self.stand.count_items(user, kind) for kind in KINDS}
        kept = {kind: self.stand.count_items(other, kind) for kind in KINDS}
        assert all(before.values()), before
        with self.stand.client(user) as client:
            assert search(client, "heating")
            location = client.post(ERASURES).raise_for_status().headers["location"]
            receipt: dict[str, Any] = {}

            def is_over() -> bool:
                nonlocal receipt
                receipt = client.get(location).json()
                # A busy machine may answer 503.
                return receipt.get("state", "running") != "running"

            self.stand.wait_for(is_over, "the erasure ends")
            left = {kind: self.stand.count_items(user, kind) for kind in KINDS}
            assert not any(left.values()), left
            assert not search(client, "heating")
        with Asker(self.stand, user) as asker:
            events = asker.ask("What do I know about the heating?")
            assert events[0].data["sources"] == [], events[0]
        assert {kind: self.stand.count_items(other, kind) for kind in KINDS} == kept
        return {"before": before, "left": left, "receipt": receipt["erased"]}


def main() -> None:
    """Run the experiment and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=1000)
    options = parser.parse_args()
    with run_search_stack() as stand:
        print(json.dumps(Experiment(stand, options.resources).run()))


if __name__ == "__main__":
    main()
