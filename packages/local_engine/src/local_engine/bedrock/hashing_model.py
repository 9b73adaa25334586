"""A deterministic model without weights.

Embeddings are hashed words and character trigrams, so texts that share words or parts of words are near. Answers are
the sentences of the prompt's sources that are nearest to the question.
"""

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from local_engine.bedrock.local_model import Prompt

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_PIECE = re.compile(r"\s*\S+")
# A full stop within a word, as in an address, ends no sentence.
_SENTENCE = re.compile(r"(?:[^.!?\n]|[.!?]+(?![.!?\s]|$))+[.!?]*|[.!?]+")
_TAG = re.compile(r"<[^<>]*>")
_LABEL = re.compile(r"^\s*(?:\[(?P<bracketed>[\w-]+)\]|<\w+[^<>]*\b(?:id|index|n)=\"(?P<attribute>[\w-]+)\"[^<>]*>)")
_SHORT_WORD = 3
_SHORT_WORD_WEIGHT = 0.2
_TRIGRAM_WEIGHT = 0.3
_MOST_EXTRACTS = 3
_LEAST_SIMILARITY = 0.1
_COMPARED_DIMENSIONS = 1024


class _Extract(NamedTuple):
    text: str
    label: str | None


class HashingModel:
    """The model."""

    def embed(self, text: str, dimensions: int) -> list[float]:
        """Return the embedding of a text. Its length depends on the text's."""
        vector = [0.0] * dimensions
        for feature, weight in _features(text).items():
            number = zlib.crc32(feature.encode())
            vector[(number >> 1) % dimensions] += weight if number & 1 else -weight
        return vector

    def count_tokens(self, text: str) -> int:
        """Return the number of words and punctuation marks."""
        return len(_TOKEN.findall(text))

    def answer(self, prompt: Prompt) -> Iterator[str]:
        """Return sentences of the sources, a word at a time. Each has its source's label, such as `[1]`."""
        question, sources = _split_prompt(prompt)
        wanted = self.embed(question, _COMPARED_DIMENSIONS)
        extracts = list(dict.fromkeys(extract for source in sources for extract in _list_extracts(source)))
        similarities = [_cosine(wanted, self.embed(extract.text, _COMPARED_DIMENSIONS)) for extract in extracts]
        nearest = sorted(range(len(extracts)), key=lambda place: -similarities[place])[:_MOST_EXTRACTS]
        chosen = [extracts[place] for place in sorted(nearest) if similarities[place] >= _LEAST_SIMILARITY]
        if not chosen:
            yield from _PIECE.findall(f"The sources have no answer to: {question}")
        for place, extract in enumerate(chosen):
            label = f" [{extract.label}]" if extract.label else ""
            yield from _PIECE.findall(f"{' ' if place else ''}{extract.text}{label}")


def _features(text: str) -> dict[str, float]:
    """Return the features of a text with their weights."""
    counted = Counter(_WORD.findall(text.casefold()))
    features: dict[str, float] = {}
    for word, count in counted.items():
        frequency = (1 + math.log(count)) * (_SHORT_WORD_WEIGHT if len(word) <= _SHORT_WORD else 1)
        features[word] = features.get(word, 0) + frequency
        padded = f"^{word}$"
        for start in range(len(padded) - 2):
            trigram = padded[start : start + 3]
            features[f"3{trigram}"] = features.get(f"3{trigram}", 0) + _TRIGRAM_WEIGHT * frequency
    # A text without words has an embedding too.
    return features or {f"text:{text}": 1.0}


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    lengths = math.hypot(*one) * math.hypot(*other)
    return math.sumprod(one, other) / lengths if lengths else 0.0


def _split_prompt(prompt: Prompt) -> tuple[str, list[str]]:
    """Return the question, which is the last paragraph of the last message, and the sources.

    Sources are the paragraphs with a label. Without any, they are all other paragraphs.
    """
    *_, last = prompt.messages
    paragraphs = _list_paragraphs(last.text)
    question = _TAG.sub(" ", paragraphs.pop()).strip() if paragraphs else ""
    earlier = [source for message in prompt.messages for source in message.sources]
    others = [*_list_paragraphs(prompt.system), *earlier, *paragraphs]
    return question, [source for source in others if _LABEL.match(source)] or others


def _list_paragraphs(text: str) -> list[str]:
    return [paragraph for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:\[|<))|(?<=>)\n", text) if paragraph.strip()]


def _list_extracts(source: str) -> list[_Extract]:
    found = _LABEL.match(source)
    label = (found["bracketed"] or found["attribute"]) if found else None
    text = _TAG.sub(" ", source[found.end() :] if found else source)
    sentences = (" ".join(sentence.split()) for sentence in _SENTENCE.findall(text))
    return [_Extract(sentence, label) for sentence in sentences if _WORD.search(sentence)]
