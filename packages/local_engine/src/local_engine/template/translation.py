"""AWS's own SAM transform. Its result is kept, because importing the translator takes most of a second."""

import copy
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import samtranslator

from local_engine.account import REGION
from local_engine.state import state_directory
from local_engine.template.errors import TemplateError

_FUNCTION = "AWS::Serverless::Function"
_EVENT = re.compile(r"Event with id \[(\w+)\]")
# The translator wants at least one resource.
_PLACEHOLDER = {"Type": "AWS::CloudFormation::WaitConditionHandle"}


@dataclass(frozen=True)
class Translation:
    """A template after SAM's transform."""

    template: dict[str, Any]
    refused: Mapping[str, str]
    """By logical ID, a sentence for each SAM resource that the translator rejects.

    A rejected function is in the template without its code, so that its routes exist.
    """


class _ReadValues(dict[str, Any]):
    """Values of parameters that record which of them the translator reads. Most stay references in its result."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._given = frozenset(values)
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self._read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._read.add(name)
        return super().get(name, default)

    def __deepcopy__(self, memo: dict[int, Any]) -> "_ReadValues":
        # The translator works on a copy.
        return self

    def list_read(self) -> dict[str, Any]:
        return {name: super(_ReadValues, self).__getitem__(name) for name in sorted(self._read & self._given)}


class _Rejection(Exception):
    """The translator rejects resources, or the template if it names none."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__(" ".join(reasons.values()))
        self.reasons = {name: reason for name, reason in reasons.items() if name}


def translate(template: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the CloudFormation template of a SAM template.

    Args:
        template: the SAM template, which the translator changes in place.
        parameters: a value for each parameter.

    Raises:
        ValueError: SAM rejects the template. The message gives SAM's reasons.
    """
    try:
        return _translate_whole(template, parameters)
    except _Rejection as error:
        raise ValueError(str(error)) from error


def translate_cached(
    template: Mapping[str, Any], parameters: Mapping[str, Any], place: str, project: Path
) -> Translation:
    """Translate what SAM accepts of a template, or return the result of an earlier start if nothing has changed.

    Values that the translator does not read, such as an issuer's URL with its port, may differ from the earlier start.

    Args:
        template: the SAM template.
        parameters: a value for each parameter.
        place: identifies the template in its project.
        project: the folder of the root template.

    Raises:
        TemplateError: SAM rejects the template as a whole.
    """
    content = json.dumps(template, default=str)
    values = json.loads(json.dumps(parameters, default=str))
    key = hashlib.sha256(f"{samtranslator.__version__} {content}".encode()).hexdigest()
    cache = state_directory(project) / f"template-{hashlib.sha256(place.encode()).hexdigest()[:12]}.json"
    try:
        kept = json.loads(cache.read_text())
        if kept["key"] == key and all(values[name] == value for name, value in kept["read"].items()):
            return Translation(kept["template"], kept["refused"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    recorded = _ReadValues(values)
    # The translator writes into structures that the input shares.
    translation = _translate_parts(json.loads(content), recorded)
    try:
        cache.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = cache.with_suffix(f".{os.getpid()}")
        kept = {
            "key": key,
            "read": recorded.list_read(),
            "template": translation.template,
            "refused": translation.refused,
        }
        temporary.write_text(json.dumps(kept))
        temporary.replace(cache)
    except OSError:
        pass
    return translation


def _translate_parts(template: dict[str, Any], parameters: dict[str, Any]) -> Translation:
    refused: dict[str, str] = {}
    while True:
        try:
            return Translation(_translate_whole(copy.deepcopy(template), parameters), refused)
        except _Rejection as rejection:
            blamed = rejection.reasons.keys() & template["Resources"].keys()
            if not blamed:
                blamed = {_find_culprit(template, parameters, rejection)}
            for name in sorted(blamed):
                reason = rejection.reasons.get(name, str(rejection))
                part = _withdraw(template["Resources"], name, reason, is_second=name in refused)
                refused.setdefault(part, reason)


def _withdraw(resources: dict[str, Any], name: str, reason: str, *, is_second: bool) -> str:
    """Remove a rejected resource, or as little of it as possible, and return the name of what is removed.

    Of a function with a faulty event, only the event goes. Any other function is replaced by one without code, so that
    its routes stay.
    """
    resource = resources.pop(name)
    events = resource["Properties"].get("Events")
    if resource["Type"] == _FUNCTION and isinstance(events, dict):
        event = _EVENT.search(reason)
        if event and events.pop(event[1], None) is not None:
            resources[name] = resource
            return f"{name}.{event[1]}"
        if not is_second:
            properties = {"InlineCode": "-", "Handler": "index.handler", "Runtime": "python3.13", "Events": events}
            kept = {attribute: resource[attribute] for attribute in ("Type", "Condition") if attribute in resource}
            resources[name] = {**kept, "Properties": properties}
    return name


def _find_culprit(template: dict[str, Any], parameters: dict[str, Any], rejection: _Rejection) -> str:
    """Return the SAM resource that makes the translator fail without naming one.

    Raises:
        TemplateError: the fault is not in a SAM resource.
    """
    resources = template["Resources"]
    names: list[str] = [
        name for name, resource in resources.items() if resource["Type"].startswith("AWS::Serverless::")
    ]
    # Events need their API, so APIs come first.
    names.sort(key=lambda name: "Api" not in resources[name]["Type"])
    accepted = {name: resource for name, resource in resources.items() if name not in names}
    for name in ("", *names):
        if name:
            accepted[name] = resources[name]
        try:
            _translate_whole(copy.deepcopy({**template, "Resources": accepted}), parameters)
        except _Rejection:
            if name:
                return name
            break
    raise TemplateError(str(rejection)) from rejection


def _translate_whole(template: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Translate a template in place.

    Raises:
        _Rejection: SAM rejects it.
    """
    from samtranslator.model.exceptions import InvalidDocumentException  # noqa: PLC0415
    from samtranslator.parser.parser import Parser  # noqa: PLC0415
    from samtranslator.policy_template_processor.processor import PolicyTemplatesProcessor  # noqa: PLC0415
    from samtranslator.translator.translator import Translator  # noqa: PLC0415

    current = ""

    class RecordingTranslator(Translator):  # type: ignore[misc]
        """Records the resource at work, because the translator stumbles over some faults without naming it."""

        def _get_resources_to_iterate(self, sam_template: dict[str, Any], macro_resolver: Any) -> Any:
            def iterate() -> Iterator[tuple[str, dict[str, Any]]]:
                nonlocal current
                for logical_id, resource in resources:
                    current = logical_id
                    yield logical_id, resource
                current = ""

            resources = super()._get_resources_to_iterate(sam_template, macro_resolver)
            return iterate()

    # The translator spends most of its time on checking its own list of policies.
    processor: Any = PolicyTemplatesProcessor
    processor._is_valid_templates_dict = staticmethod(lambda *_: True)  # noqa: SLF001
    # The translator logs about its own metrics. Its errors arrive as exceptions.
    logging.getLogger("samtranslator").setLevel(logging.CRITICAL)
    # Managed policies come from a list inside the translator. Of a session, it reads the region only, and a real one
    # would read the developer's configuration.
    session: Any = SimpleNamespace(region_name=REGION)
    is_empty = not template.get("Resources")
    if is_empty:
        template["Resources"] = {"Nothing": _PLACEHOLDER}
    try:
        translated: dict[str, Any] = RecordingTranslator({}, Parser(), boto_session=session).translate(
            template, parameters, passthrough_metadata=True
        )
    except InvalidDocumentException as error:
        raise _Rejection(
            {str(getattr(cause, "_logical_id", "")): cause.message for cause in error.causes} or {"": error.message}
        ) from error
    except RecursionError:
        raise
    except Exception as error:
        raise _Rejection({current: f"SAM's translator fails ({type(error).__name__}: {error})."}) from error
    if is_empty:
        del translated["Resources"]["Nothing"]
    return translated
