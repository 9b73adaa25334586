"""Runs AWS's own SAM transform. A module of its own, as importing the translator takes most of a second."""

from typing import Any

import boto3
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from local.intrinsics import REGION


class _ManagedPolicies(dict[str, str]):
    """Stands for the list of AWS's managed policies, which only an AWS account can give: any name is taken to exist."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and not name.startswith("arn:")

    def __missing__(self, name: str) -> str:
        return f"arn:aws:iam::aws:policy/{name}"

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default


def translate(template: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Returns the CloudFormation template of a SAM template, which is changed in place.

    Raises:
        ValueError: SAM refuses the template; the message holds its reasons.
    """
    translator = Translator(_ManagedPolicies(), Parser(), boto_session=boto3.Session(region_name=REGION))  # type: ignore[no-untyped-call]
    try:
        translated: dict[str, Any] = translator.translate(template, parameters)
    except InvalidDocumentException as error:
        raise ValueError(" ".join(cause.message for cause in error.causes) or error.message) from error
    return translated
