"""Runs AWS's own SAM transform. A module of its own, as importing the translator takes most of a second."""

from typing import Any

import boto3
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from local_engine.template.intrinsics import REGION


def translate(template: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the CloudFormation template of a SAM template, which is changed in place.

    Raises:
        ValueError: SAM refuses the template; the message holds its reasons.
    """
    # Managed policies are found in the list that comes with the translator; no AWS account is asked.
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
    try:
        translated: dict[str, Any] = translator.translate(template, parameters)
    except InvalidDocumentException as error:
        raise ValueError(" ".join(cause.message for cause in error.causes) or error.message) from error
    return translated
