"""Recall and nDCG of rankings over the fixed set.

Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (2002), with gains of 2^grade - 1.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tools.benchmarks.search.question_set import Question

CONSIDERED = 10
"""How many of the first results count."""
LEAST_RECALL = 0.85
"""Of the small model."""

type Ranking = Callable[[str], Sequence[str]]
"""Returns the keys of the nearest resources to a question, best first."""


class Relevance(NamedTuple):
    """How well a ranking answers the questions, on average.

    Attributes:
        recall: share of the relevant resources, of any grade, among the first results.
        ndcg: normalized discounted cumulative gain of the first results.
    """

    recall: float
    ndcg: float


def measure_relevance(rank: Ranking, questions: Sequence[Question]) -> Relevance:
    """Return how well a ranking answers the questions."""
    measured = [_measure(rank(question.text)[:CONSIDERED], question) for question in questions]
    return Relevance(*(statistics.mean(values) for values in zip(*measured, strict=True)))


def _measure(found: Sequence[str], question: Question) -> Relevance:
    grades = question.grades
    best = sorted(grades.values(), reverse=True)[:CONSIDERED]
    gain = _cumulate([grades.get(key, 0) for key in found])
    return Relevance(len(grades.keys() & set(found)) / len(grades), gain / _cumulate(best))


def _cumulate(grades: Sequence[int]) -> float:
    return sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(grades))
