"""SAM templates, read as CloudFormation would. `local_engine.template.stack` says how a room reads a stack."""

from local_engine.account import ACCOUNT_ID, REGION
from local_engine.template.errors import ParametersRefused, TemplateError, Unresolved
from local_engine.template.loader import load_template
from local_engine.template.stack import Api, CodeFolder, Function, HttpApi, Resource, RestApi, Stack
from local_engine.template.translation import translate

__all__ = [
    "ACCOUNT_ID",
    "REGION",
    "Api",
    "CodeFolder",
    "Function",
    "HttpApi",
    "ParametersRefused",
    "Resource",
    "RestApi",
    "Stack",
    "TemplateError",
    "Unresolved",
    "load_template",
    "translate",
]
