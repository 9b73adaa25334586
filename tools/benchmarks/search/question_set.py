"""The fixed set: resources of many fields, and questions with the resources that answer them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Question:
    """A question in words that mostly differ from the resources'.

    Attributes:
        text: the question.
        grades: of each relevant resource by its key: 2 if it answers the question, 1 if it helps.
    """

    text: str
    grades: Mapping[str, int]


def load_resources() -> dict[str, dict[str, Any]]:
    """Return the resources, as `POST /api/v1/resources` takes them, by their keys."""
    lines = (json.loads(line) for line in _read("resources.ndjson"))
    return {line.pop("id"): line for line in lines}


def load_questions() -> list[Question]:
    """Return the questions."""
    return [Question(line["question"], line["relevant"]) for line in map(json.loads, _read("questions.ndjson"))]


def _read(name: str) -> list[str]:
    return (_FOLDER / name).read_text(encoding="utf-8").splitlines()
