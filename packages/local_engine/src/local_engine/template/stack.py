"""What a SAM template declares: functions, HTTP APIs and all other resources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_engine.template.intrinsics import ACCOUNT_ID, REGION


class TemplateError(Exception):
    """The template cannot be served. The message is a sentence for the user."""

    sources: tuple[Path, ...] = ()
    """The files that were read before the error."""


class ParametersRefused(TemplateError):
    """The template's own rules reject the parameters."""

    def __init__(self, sentences: Sequence[str]) -> None:
        """Take the descriptions of the assertions that fail."""
        super().__init__("\n".join(f"The template rejects these parameters: {sentence}" for sentence in sentences))
        self.sentences = sentences


@dataclass(frozen=True)
class Resource:
    """A resource after SAM's transform, its properties evaluated."""

    type: str
    properties: dict[str, Any]


@dataclass(frozen=True)
class Function:
    """A Lambda function with a Python runtime."""

    logical_id: str
    name: str
    handler: str
    code_directory: Path
    layer_directories: tuple[Path, ...]
    environment: Mapping[str, str]
    timeout: float
    """Seconds."""
    memory: int
    """MB."""
    reserved_concurrency: int | None
    log_group: str

    @property
    def arn(self) -> str:
        """The ARN that the function's context shows."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{self.name}"


@dataclass(frozen=True)
class Throttling:
    """Settings of a token bucket. None means that the template sets no limit."""

    rate: float | None
    """Requests per second."""
    burst: int | None
    """Requests at once."""


@dataclass(frozen=True)
class HttpApi:
    """An HTTP API with its one stage."""

    logical_id: str
    id: str
    """The API ID, as `Ref` gives it."""
    stage: str
    document: dict[str, Any]
    """The OpenAPI document, as API Gateway would import it."""
    cors: dict[str, Any] | None
    """`x-amazon-apigateway-cors`: allowOrigins, allowMethods, allowHeaders, exposeHeaders, maxAge, allowCredentials."""
    throttling: Throttling
    route_throttling: Mapping[str, Throttling]
    """By route key, such as `GET /items/{id}`."""
    detailed_metrics: bool
    """Whether each route has its own metrics."""
    route_detailed_metrics: Mapping[str, bool]
    """By route key; overrides `detailed_metrics`."""


@dataclass(frozen=True)
class Stack:
    """A template and its nested applications, evaluated.

    The logical ID of a nested application's resource starts with the application's own: `Identity/UserPool`.
    """

    path: Path
    sources: tuple[Path, ...]
    """The template and all files that it includes or nests."""
    given: Mapping[str, str]
    """The parameters as given, without the template's defaults."""
    parameters: Mapping[str, Any]
    functions: Mapping[str, Function]
    apis: tuple[HttpApi, ...]
    resources: Mapping[str, Resource]
    not_served: tuple[str, ...]
    """A sentence for each part of the template that the engine ignores."""

    @property
    def project(self) -> Path:
        """The folder of the template."""
        return self.path.parent
