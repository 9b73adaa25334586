"""Measures when an answer's first event and text arrive, beside its end, for which a buffered answer would wait.

python -m tools.benchmarks.search.first_token --samples 20
"""

import argparse
import json
import statistics
from typing import Any

from tools.benchmarks.search.answers import Asker, Event, join_text
from tools.benchmarks.search.question_set import load_questions, load_resources
from tools.benchmarks.search.stand import Stand, run_search_stack

USER = "asker"
TOKENS_PER_SECOND = 50.0
"""Speed of the local model, about that of a large one."""


class Experiment:
    """Answers about the fixed set.

    Attributes:
        stand: the running stack.
        samples: how many questions are asked, after a first one for the cold starts.
        resources: how many of the set the user has, unless there are some already.
    """

    def __init__(self, stand: Stand, samples: int, resources: int = 240) -> None:
        self.stand, self.samples, self.resources = stand, samples, resources

    def run(self) -> dict[str, Any]:
        """Ask, and return what was seen.

        Raises:
            AssertionError: an answer has no text, or its events are in another order.
        """
        if not self.stand.count_items(USER, "resource#"):
            self.stand.import_resources(USER, list(load_resources().values())[: self.resources])
        questions = load_questions()
        self.stand.configure_model(tokensPerSecond=TOKENS_PER_SECOND)
        try:
            with Asker(self.stand, USER) as asker:
                _, *answers = (asker.ask(questions[number % len(questions)].text) for number in range(self.samples + 1))
        finally:
            self.stand.configure_model()
        for events in answers:
            check_order(events)
        firsts = [events[0].seconds for events in answers]
        texts = [next(event.seconds for event in events if event.kind == "text") for events in answers]
        ends = [events[-1].seconds for events in answers]
        return {
            "answers": len(answers),
            "words_median": statistics.median(len(join_text(events).split()) for events in answers),
            "first_event_ms": round(1000 * statistics.median(firsts)),
            "first_text_ms": round(1000 * statistics.median(texts)),
            "whole_answer_ms": round(1000 * statistics.median(ends)),
            "first_text_share": round(statistics.median(text / end for text, end in zip(texts, ends, strict=True)), 3),
        }


def check_order(events: list[Event]) -> None:
    """Check that the sources come first, then text, the usage and the end.

    Raises:
        AssertionError: they do not.
    """
    kinds = [event.kind for event in events]
    assert list(dict.fromkeys(kinds)) == ["sources", "text", "usage", "end"], kinds


def main() -> None:
    """Run the experiment and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20)
    options = parser.parse_args()
    with run_search_stack() as stand:
        print(json.dumps(Experiment(stand, options.samples).run()))


if __name__ == "__main__":
    main()
