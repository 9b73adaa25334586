"""Rankings of texts: by the embeddings of a local model, and by keywords for comparison."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tools.benchmarks.search.embedding import make_embedder
from tools.benchmarks.search.relevance import CONSIDERED, Ranking
from tools.benchmarks.search.stand import Stand, search

_WORD = re.compile(r"\w+")
_SATURATION, _LENGTH_WEIGHT = 1.2, 0.75


def rank_by_embedding(model_name: str, texts: Mapping[str, str]) -> Ranking:
    """Rank texts by the cosine of their embeddings and the question's.

    Args:
        model_name: a model of the local engine.
        texts: the texts by their keys.
    """
    embed = make_embedder(model_name)
    vectors = {key: embed(text) for key, text in texts.items()}

    def rank(question: str) -> Sequence[str]:
        wanted = embed(question)
        return sorted(vectors, key=lambda key: -math.sumprod(wanted, vectors[key]))

    return rank


def rank_by_keywords(texts: Mapping[str, str]) -> Ranking:
    """Rank texts by BM25, with plurals as singulars.

    Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with the usual k1
    and b, and Lucene's inverse document frequency, which is never negative.
    """
    documents = {key: Counter(_split(text)) for key, text in texts.items()}
    mean_length = sum(words.total() for words in documents.values()) / len(documents)
    found_in = Counter(word for words in documents.values() for word in words)

    def score(words: Counter[str], wanted: Sequence[str]) -> float:
        shortness = _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * words.total() / mean_length)
        return sum(
            math.log(1 + (len(documents) - found_in[word] + 0.5) / (found_in[word] + 0.5))
            * words[word]
            * (_SATURATION + 1)
            / (words[word] + shortness)
            for word in wanted
        )

    def rank(question: str) -> Sequence[str]:
        wanted = _split(question)
        scores = {key: score(words, wanted) for key, words in documents.items()}
        # A text without any of the words is no result.
        return [key for key in sorted(scores, key=lambda key: -scores[key]) if scores[key]]

    return rank


def rank_by_search(stand: Stand, subject: str, given: Mapping[str, Mapping[str, Any]]) -> Ranking:
    """Rank resources by `GET /api/v1/search`.

    Args:
        stand: the running stack.
        subject: a user without resources, who gets these.
        given: the resources by their keys. Their names differ.
    """
    keys = {resource["name"]: key for key, resource in given.items()}
    stand.import_resources(subject, list(given.values()))
    client = stand.client(subject)
    return lambda question: [keys[match["resource"]["name"]] for match in search(client, question, limit=CONSIDERED)]


def _split(text: str) -> list[str]:
    return [word.removesuffix("s") for word in _WORD.findall(text.casefold())]
