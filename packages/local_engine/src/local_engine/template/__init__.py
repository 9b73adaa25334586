"""SAM templates, read as CloudFormation would read them."""

from local_engine.template.intrinsics import ACCOUNT_ID, REGION
from local_engine.template.loader import load_template
from local_engine.template.stack import Function, HttpApi, ParametersRefused, Resource, Stack, TemplateError
from local_engine.template.translation import translate

__all__ = [
    "ACCOUNT_ID",
    "REGION",
    "Function",
    "HttpApi",
    "ParametersRefused",
    "Resource",
    "Stack",
    "TemplateError",
    "load_template",
    "translate",
]
