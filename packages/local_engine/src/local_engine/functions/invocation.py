"""What an invocation gives: a result, whole or in chunks, or an error."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from local_engine.functions.runtime import MAX_RESPONSE


class FunctionError(Exception):
    """A function gave no result. The message is a sentence, followed by the traceback if there is one."""

    def __init__(
        self, message: str, error_type: str, error_message: str, stack_trace: Sequence[str] | None = None
    ) -> None:
        """Take the sentence and what Lambda reports of an error. Without a stack trace, no code raised it."""
        super().__init__(message)
        self._type = error_type
        self._message = error_message
        self._stack_trace = stack_trace

    def describe(self, request_id: str) -> dict[str, Any]:
        """Return the payload of Lambda's response ("Lambda function errors in Python")."""
        if self._stack_trace is None:
            return {"errorType": self._type, "errorMessage": f"RequestId: {request_id} Error: {self._message}"}
        return {
            "errorMessage": self._message,
            "errorType": self._type,
            "requestId": request_id,
            "stackTrace": list(self._stack_trace),
        }


class FunctionUnavailable(FunctionError):
    """A function cannot be built, so it does not run."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, "Runtime.BuildError", sentence)


class ConcurrencyExceeded(Exception):
    """All of a function's reserved concurrency is in use."""


class ResponseTooLarge(FunctionError):
    """A function's result is larger than Lambda passes on."""

    def __init__(self, limit: int) -> None:
        message = f"Response payload size exceeded maximum allowed payload size ({limit} bytes)."
        super().__init__(
            f"The function's result is larger than {limit} bytes.", "Function.ResponseSizeTooLarge", message
        )


@dataclass(frozen=True, slots=True)
class Invocation:
    """A function's result."""

    payload: bytes
    cold: bool
    """Whether its process was started for this request."""


class Result:
    """A function's result, while it arrives. Iterate over it once for its chunks, or `read` it whole."""

    def __init__(self, content_type: str, content: bytes | AsyncIterator[bytes], *, cold: bool) -> None:
        self.content_type = content_type
        """As the runtime declared it; empty if it did not."""
        self.cold = cold
        """Whether the process was started for this request."""
        self.error: FunctionError | None = None
        """Why the result ended early."""
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the chunks.

        Raises:
            FunctionError: the function failed after the start of its result.
        """
        if isinstance(self._content, bytes):
            yield self._content
            return
        try:
            async for chunk in self._content:
                yield chunk
        except FunctionError as error:
            self.error = error
            raise

    async def read(self) -> bytes:
        """Return the whole result.

        Raises:
            FunctionError: as iteration, or the result is too large not to be streamed.
        """
        if isinstance(self._content, bytes):
            self._check_size(len(self._content))
            return self._content
        content = bytearray()
        async for chunk in self:
            self._check_size(len(content) + len(chunk))
            content += chunk
        return bytes(content)

    def _check_size(self, size: int) -> None:
        if size > MAX_RESPONSE:
            self.error = ResponseTooLarge(MAX_RESPONSE)
            raise self.error
