"""A small embedding model whose weights are in its wheel: WordLlama. Another model converses.

`pip install 'local-engine[models]'` installs it.
"""

import importlib
import importlib.util
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from local_engine.bedrock.local_model import ModelUnavailableError, Prompt, TextModel

_DIMENSIONS = 256


class SmallModel:
    """The model. It loads without a network."""

    def __init__(self, conversations: TextModel) -> None:
        """Find the package.

        Args:
            conversations: the model that converses.

        Raises:
            ModelUnavailableError: WordLlama is not installed.
        """
        if importlib.util.find_spec("wordllama") is None:
            raise ModelUnavailableError(
                "Small embeddings need WordLlama: pip install 'local-engine[models]'. Without --model, a deterministic "
                "model answers."
            )
        self._conversations = conversations

    @cached_property
    def _embeddings(self) -> Any:
        # Takes a third of a second, and may not be installed where the types are checked.
        wordllama = importlib.import_module("wordllama")
        # The weights are in the wheel, but the library does not look there by default.
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
