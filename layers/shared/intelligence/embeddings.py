"""Embeddings: vectors whose distance says how near the meanings of two texts are."""

DIMENSIONS = 256
"""Of every vector; the table's indexes have it too (template.yaml)."""


def embed(text: str, model: str) -> list[float]:
    """Return the embedding of a text: `DIMENSIONS` numbers, of length 1.

    Args:
        text: the text; what exceeds `MAX_CHARACTERS` is left out.
        model: the ID of the embedding model.

    Raises:
        ModelThrottled, ModelUnavailable, ModelError: see `invoke_model`.
    """
    raise NotImplementedError
