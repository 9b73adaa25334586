"""What a SAM template declares, for the rooms that serve it.

Each room reads its own kinds of resources from a `Stack`:

    buckets = stack.read_parts("AWS::S3::Bucket", read=read_bucket)

`read_bucket(logical_id, resource)` takes what it needs from `resource.properties` and raises `TemplateError` with a
sentence if it cannot serve the resource. Then that resource alone is left out, and the sentence becomes one of
`stack.notices`, which the user sees at the start. A property that cannot be evaluated, such as an `Fn::ImportValue`,
raises `Unresolved` (a `TemplateError`) when the room reads it. A property that no room reads may be unresolvable.

A room that serves a type adds it to `SERVED_TYPES` in `local_engine.template.notices`; else the user is told that
the resource is not run.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_engine.account import ACCOUNT_ID, REGION
from local_engine.template.errors import PartlyUnserved, TemplateError, Unresolved
from local_engine.template.properties import Properties
from local_engine.template.sources import Sources


@dataclass(frozen=True)
class Resource:
    """A resource after SAM's transform, its properties evaluated."""

    type: str
    properties: dict[str, Any]
    """From a template, these are `Properties`."""
    reference: Any = None
    """What `Ref` gives."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """As written; not evaluated."""
    name: str | None = None
    """Its physical name. None if that cannot be evaluated."""

    def require_name(self) -> str:
        """Return the physical name.

        Raises:
            TemplateError: it cannot be evaluated.
        """
        if self.name is None:
            raise TemplateError("its name cannot be evaluated.")
        return self.name

    def pick(self, *names: str) -> dict[str, Any]:
        """Return those of some properties that the resource has."""
        return {name: self.properties[name] for name in names if name in self.properties}

    def find(self, name: str) -> Any:
        """Return a property, or None if it is missing or cannot be evaluated."""
        try:
            return self.properties.get(name)
        except Unresolved:
            return None

    def check_complete(self) -> None:
        """Check that every property is evaluated.

        Raises:
            Unresolved: one is not.
        """
        if isinstance(self.properties, Properties):
            for name in self.properties.unresolved:
                self.properties[name]


@dataclass(frozen=True)
class CodeFolder:
    """A folder with the code of a function or a layer, as `sam build` takes it."""

    path: Path
    build_method: str | None = None
    """`Metadata.BuildMethod`: `makefile`, or a runtime for a layer with requirements."""
    build_id: str = ""
    """The logical ID in the template file, which names the target of a makefile."""
    built: Path | None = None
    """What `sam build` made of it, if that exists and fits this machine."""


@dataclass(frozen=True)
class Function:
    """A Lambda function with a Python runtime."""

    logical_id: str
    name: str
    handler: str
    code: CodeFolder
    layers: tuple[CodeFolder, ...]
    environment: Mapping[str, str]
    timeout: float
    """Seconds."""
    memory: int
    """MB."""
    reserved_concurrency: int | None
    log_group: str
    role: str = ""
    """The name of its execution role; empty if the role cannot be evaluated."""
    is_traced: bool = False
    """Whether X-Ray traces its invocations by itself (`TracingConfig`)."""

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


@dataclass(frozen=True, kw_only=True)
class Api:
    """Something that is served on its own port. Each kind of API has a subclass."""

    logical_id: str
    id: str
    """The API ID, as `Ref` gives it."""
    stage: str
    document: dict[str, Any]
    """The OpenAPI 3.0 document, as API Gateway would import it.

    An operation or scheme that cannot be evaluated is `{REFUSAL: sentence}`.
    """
    refusal: str = ""
    """Why no route of the API can be served; empty if they can."""

    @property
    def base_path(self) -> str:
        """The stage, as paths of requests begin with it: `/Prod`. Empty for `$default`."""
        return "" if self.stage == "$default" else f"/{self.stage}"


@dataclass(frozen=True, kw_only=True)
class HttpApi(Api):
    """An HTTP API with its one stage."""

    cors: dict[str, Any] | None
    """`x-amazon-apigateway-cors`: allowOrigins, allowMethods, allowHeaders, exposeHeaders, maxAge, allowCredentials."""
    throttling: Throttling
    route_throttling: Mapping[str, Throttling]
    """By route key, such as `GET /items/{id}`."""
    detailed_metrics: bool
    """Whether each route has its own metrics."""
    route_detailed_metrics: Mapping[str, bool]
    """By route key; overrides `detailed_metrics`."""
    stage_variables: Mapping[str, str] = field(default_factory=dict)
    cors_refusal: str = ""
    """Why the API is served without its CORS configuration; empty if it is served with it."""


@dataclass(frozen=True, kw_only=True)
class RestApi(Api):
    """A stage of a REST API."""

    name: str
    """The API's name, a dimension of its metrics."""
    stage_variables: Mapping[str, str]
    method_settings: Sequence[Mapping[str, Any]]
    """As the stage has them: ResourcePath, HttpMethod and settings."""
    binary_media_types: tuple[str, ...]
    policy: Mapping[str, Any] | None
    """The resource policy."""
    has_cache: bool = False
    """Whether the stage has a cache cluster."""
    other_stages: "tuple[RestApi, ...]" = ()
    """The same API with its other stages, which have the same port."""

    def find_method_settings(self, method: str, path: str) -> dict[str, Any]:
        """Return the stage's settings for a method of a resource; those for all methods are its defaults.

        Source: "MethodSetting" (API Gateway REST API Reference).
        """
        exact: dict[str, Any] = {}
        default: dict[str, Any] = {}
        for entry_path, entry_method, entry in self._list_method_settings():
            if (entry_path, entry_method) == ("/*", "*"):
                default |= entry
            elif entry_path == path and entry_method in ("*", method):
                exact |= entry
        return {**default, **exact}

    def has_own_settings(self, method: str, path: str) -> bool:
        """Return whether the stage has settings for a method that name its verb."""
        return any(entry[:2] == (path, method) for entry in self._list_method_settings())

    def _list_method_settings(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Yield path and method with each entry of the settings."""
        for entry in self.method_settings:
            path = "/" + str(entry.get("ResourcePath", "/*")).replace("~1", "/").lstrip("/")
            yield path, str(entry.get("HttpMethod", "*")).upper(), entry


@dataclass(frozen=True, kw_only=True)
class FunctionUrl(Api):
    """A function URL. It has no document."""

    function_name: str
    qualifier: str | None
    """The alias that it invokes. None for `$LATEST`."""
    is_signed: bool
    """Whether requests are signed (AuthType AWS_IAM)."""
    is_streamed: bool
    """Whether responses are streamed (InvokeMode RESPONSE_STREAM)."""
    cors: Mapping[str, Any] | None
    """As `HttpApi.cors`."""
    arn: str
    """The ARN of the function, with the alias."""
    policy: Mapping[str, Any]
    """The function's resource-based policy, as far as it is about the function URL."""


@dataclass(frozen=True)
class Stack:
    """A template and its nested applications, evaluated.

    The logical ID of a nested application's resource starts with the application's own: `Identity/UserPool`.
    """

    path: Path
    sources: Sources
    """The template and all files that it includes or nests."""
    given: Mapping[str, str]
    """The parameters as given, without the template's defaults."""
    parameters: Mapping[str, Any]
    resources: Mapping[str, Resource]
    """By logical ID, without those whose condition is false."""
    functions: Mapping[str, Function]
    """The functions that can run, by logical ID."""
    refused_functions: Mapping[str, str]
    """By name, a sentence for each function that cannot run."""
    apis: tuple[Api, ...]
    """In the order of their ports: HTTP APIs, REST APIs, function URLs."""
    notices: list[str]
    """A sentence for each part of the template that is not served. Rooms add theirs with `refuse`."""

    @property
    def project(self) -> Path:
        """The folder of the template."""
        return self.path.parent

    def refuse(self, logical_id: str, reason: str, *, is_partial: bool = False) -> None:
        """Tell the user that a part of the template is not served.

        Args:
            logical_id: the part.
            reason: a sentence.
            is_partial: whether the rest of the part is served.
        """
        notice = f"{logical_id} is {'run in part' if is_partial else 'not run'}: {reason}"
        if notice not in self.notices:
            self.notices.append(notice)

    def read_parts[Part](self, *types: str, read: Callable[[str, Resource], Part]) -> dict[str, Part]:
        """Return what `read` makes of each resource of some types, by logical ID.

        Args:
            types: the resource types.
            read: takes the logical ID and the resource. A resource is refused if it raises `TemplateError`, or stumbles
                over a property of a wrong type.
        """
        parts = {}
        for logical_id, resource in self.resources.items():
            if resource.type in types:
                try:
                    parts[logical_id] = read(logical_id, resource)
                except TemplateError as error:
                    self.refuse(logical_id, str(error), is_partial=isinstance(error, PartlyUnserved))
                except (TypeError, ValueError, LookupError, AttributeError) as error:
                    self.refuse(logical_id, f"a property has a wrong form ({type(error).__name__}: {error}).")
        return parts
