"""Faults of templates. Each message is a sentence for the user."""

from collections.abc import Sequence
from types import MappingProxyType

from local_engine.template.sources import Sources


class TemplateError(Exception):
    """The template, or a part of it, cannot be served."""

    sources: Sources = MappingProxyType({})
    """The files that were read before the error."""


class Unresolved(TemplateError):
    """A value cannot be evaluated on this machine. Only the part that needs it is refused."""


class MissingFileError(TemplateError):
    """The template, or a file that it includes, cannot be read."""


class ParameterError(TemplateError):
    """Values of parameters are unknown, missing or not allowed."""


class ParametersRefused(ParameterError):
    """The template's own rules reject the parameters."""

    def __init__(self, sentences: Sequence[str]) -> None:
        """Take the descriptions of the assertions that fail."""
        super().__init__("\n".join(f"The template rejects these parameters: {sentence}" for sentence in sentences))
        self.sentences = sentences


class PartlyUnserved(TemplateError):
    """A part of a resource is left out, and the rest is served. The message is a sentence about that part."""
