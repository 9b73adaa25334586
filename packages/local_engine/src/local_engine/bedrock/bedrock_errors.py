"""Errors of Bedrock's runtime, with their statuses in the service model of botocore."""

STATUSES = {
    "AccessDeniedException": 403,
    "InternalServerException": 500,
    "ModelErrorException": 424,
    "ModelNotReadyException": 429,
    "ModelStreamErrorException": 424,
    "ModelTimeoutException": 408,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 400,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "ValidationException": 400,
}
STREAM_ERRORS = (
    "InternalServerException",
    "ModelStreamErrorException",
    "ServiceUnavailableException",
    "ThrottlingException",
    "ValidationException",
)
"""Errors that can come in the stream of ConverseStream."""


class BedrockError(Exception):
    """An error of the service."""

    def __init__(self, code: str, message: str) -> None:
        """Create the error.

        Args:
            code: a name of STATUSES.
            message: the service's message.
        """
        super().__init__(message)
        self.code = code
        self.status = STATUSES[code]


class InvalidRequestError(BedrockError):
    """A ValidationException."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)
