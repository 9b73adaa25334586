"""AWS's own SAM transform. Its result is kept, because importing the translator takes most of a second."""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_engine.state import state_directory
from local_engine.template.intrinsics import REGION


def translate(template: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the CloudFormation template of a SAM template.

    Args:
        template: the SAM template, which the translator changes in place.
        parameters: a value for each parameter.

    Raises:
        ValueError: SAM rejects the template. The message gives SAM's reasons.
    """
    import boto3  # noqa: PLC0415
    from samtranslator.model.exceptions import InvalidDocumentException  # noqa: PLC0415
    from samtranslator.parser.parser import Parser  # noqa: PLC0415
    from samtranslator.translator.translator import Translator  # noqa: PLC0415

    # The translator logs about its own metrics. Its errors arrive as exceptions.
    logging.getLogger("samtranslator").setLevel(logging.CRITICAL)
    # Managed policies come from a list inside the translator, so no AWS account is asked.
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
    try:
        translated: dict[str, Any] = translator.translate(template, parameters)
    except InvalidDocumentException as error:
        raise ValueError(" ".join(cause.message for cause in error.causes) or error.message) from error
    return translated


def translate_cached(
    template: Mapping[str, Any], parameters: Mapping[str, Any], place: str, project: Path
) -> dict[str, Any]:
    """Return what `translate` returns, from an earlier start if nothing has changed.

    Args:
        template: the SAM template.
        parameters: a value for each parameter.
        place: identifies the template in its project.
        project: the folder of the root template.

    Raises:
        ValueError: as `translate`.
    """
    content = json.dumps([template, parameters], default=str)
    key = hashlib.sha256(content.encode()).hexdigest()
    cache = state_directory(project) / f"template-{hashlib.sha256(place.encode()).hexdigest()[:12]}.json"
    try:
        kept = json.loads(cache.read_text())
        if kept["key"] == key:
            translated: dict[str, Any] = kept["template"]
            return translated
    except (OSError, ValueError, KeyError, TypeError):
        pass
    # The translator writes into its input, and into structures that the input shares.
    translated = translate(*json.loads(content))
    try:
        cache.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = cache.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({"key": key, "template": translated}))
        temporary.replace(cache)
    except OSError:
        pass
    return translated
