"""The whole stack as CloudFormation would create it under some name, in some region."""

import logging
import uuid
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import boto3
import botocore.session
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from local_engine.template import ACCOUNT_ID as ENGINES_ACCOUNT
from local_engine.template.documents import read_template_file
from local_engine.template.intrinsics import Evaluator
from tests.support.stack import ROOT, load_template

ACCOUNT = "210987654321"
OWN_ISSUER = {"Issuer": "https://issuer.example.com/", "Audience": "api"}
assert ACCOUNT != ENGINES_ACCOUNT
"""The evaluator writes attributes that AWS gives with its own account, so a test can tell them from the template's."""


@dataclass(frozen=True)
class Place:
    """Where a stack is created."""

    stack: str
    region: str

    @property
    def partition(self) -> str:
        return str(_find_partition(self.region)["id"])

    @property
    def domain(self) -> str:
        """Domain of AWS's endpoints in the partition."""
        return str(_find_partition(self.region)["outputs"]["dnsSuffix"])

    @property
    def pseudo_parameters(self) -> dict[str, Any]:
        stack_id = uuid.uuid5(uuid.NAMESPACE_URL, f"{self.region}/{self.stack}")
        prefix = f"arn:{self.partition}:cloudformation:{self.region}:{ACCOUNT}"
        return {
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": self.partition,
            "AWS::Region": self.region,
            "AWS::StackId": f"{prefix}:stack/{self.stack}/{stack_id}",
            "AWS::StackName": self.stack,
            "AWS::URLSuffix": self.domain,
        }

    def find_refusals(self, **parameters: str) -> list[str]:
        """The names of the root template's rules that refuse the parameters here."""
        template = load_template()
        evaluator = Evaluator({}, _fill(template, parameters) | self.pseudo_parameters)
        return [
            name
            for name, rule in template["Rules"].items()
            if evaluator.evaluate(rule.get("RuleCondition", True))
            and not all(evaluator.evaluate(assertion["Assert"]) for assertion in rule["Assertions"])
        ]


class Rendering:
    """A template and its nested applications, every value evaluated."""

    def __init__(
        self,
        place: Place,
        parameters: dict[str, Any],
        path: str = "template.yaml",
        outer: Evaluator | None = None,
    ) -> None:
        self._place = place
        self._path = path
        template = read_template_file(ROOT / path, {})
        self._applications: dict[str, str] = {}
        self._nested: dict[str, Rendering] = {}
        for name, resource in template["Resources"].items():
            properties = resource.get("Properties", {})
            for location in {"CodeUri", "ContentUri"} & properties.keys():
                properties[location] = "s3://bucket/key"
            if resource["Type"] == "AWS::Serverless::Application":
                location = (ROOT / path).parent / properties.pop("Location")
                self._applications[name] = str(location.resolve().relative_to(ROOT))
                resource["Type"] = "AWS::CloudFormation::Stack"
        values = _fill(template, parameters)
        # It logs about its own metrics.
        logging.getLogger("samtranslator").setLevel(logging.CRITICAL)
        session = boto3.Session(region_name=place.region)
        translator = Translator({}, Parser(), boto_session=session)
        self._template = translator.translate(template, {name: _write(value) for name, value in values.items()})
        self._evaluator = Evaluator(
            self._template,
            values | place.pseudo_parameters,
            # Begins the names that AWS generates.
            place=(place.stack,),
            find_output=lambda application, output: self._find_nested(application).read_output(output),
            outer=outer,
        )

    def _find_nested(self, name: str) -> "Rendering":
        # One by one, because an application's parameters may be the outputs of another.
        if name not in self._nested:
            properties = self._evaluator.evaluate(self._template["Resources"][name]["Properties"])
            place = Place(f"{self._place.stack}-{name}-1ABCDEFGHIJK", self._place.region)
            self._nested[name] = Rendering(place, properties["Parameters"], self._applications[name], self._evaluator)
        return self._nested[name]

    def _is_created(self, entry: dict[str, Any]) -> bool:
        return "Condition" not in entry or self._evaluator.is_true(entry["Condition"])

    @cached_property
    def resources(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Type and properties of each resource by its logical ID, `Application/LogicalId` in a nested application."""
        own = {
            name: (resource["Type"], self._evaluator.evaluate(resource.get("Properties", {})))
            for name, resource in self._template["Resources"].items()
            if self._is_created(resource)
        }
        below = {
            f"{application}/{name}": resource
            for application in self._applications
            if self._is_created(self._template["Resources"][application])
            for name, resource in self._find_nested(application).resources.items()
        }
        return own | below

    @cached_property
    def outputs(self) -> dict[str, Any]:
        created = {name for name, output in self._template["Outputs"].items() if self._is_created(output)}
        return {name: self.read_output(name) for name in created}

    def read_output(self, name: str) -> Any:
        return self._evaluator.evaluate(self._template["Outputs"][name]["Value"])


@cache
def render(stack: str, region: str, **parameters: str) -> Rendering:
    return Rendering(Place(stack, region), parameters)


@cache
def _find_partition(region: str) -> dict[str, Any]:
    data = botocore.session.get_session().get_component("data_loader").load_data("partitions")
    identifier = boto3.Session().get_partition_for_region(region)
    (partition,) = [entry for entry in data["partitions"] if entry["id"] == identifier]
    return dict(partition)


def _fill(template: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A value for each parameter, a list for a list."""
    values = {}
    for name, parameter in template["Parameters"].items():
        value = _write(given.get(name, parameter.get("Default", "")))
        values[name] = value.split(",") if parameter["Type"] == "CommaDelimitedList" else value
    return values


def _write(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
