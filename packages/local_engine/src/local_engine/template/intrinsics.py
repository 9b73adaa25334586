"""Intrinsic functions and conditions, including those of rules.

Source: "Intrinsic function reference" and "Rule functions", CloudFormation Template Reference.
"""

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

REGION = "us-east-1"
ACCOUNT_ID = "123456789012"
STACK_NAME = "local"
ONLY_VERSION = "1"
"""The number of every function's published version: a new stack has no other."""
APPLICATION = "AWS::CloudFormation::Stack"
"""The type that SAM gives a nested application."""

_PSEUDO_PARAMETERS = {
    "AWS::AccountId": ACCOUNT_ID,
    "AWS::NotificationARNs": [],
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::URLSuffix": "amazonaws.com",
}
# The property that names a resource.
_NAME_PROPERTIES = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::CompositeAlarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::EventBus": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}
_ARN_RESOURCES = {
    "AWS::CloudWatch::Alarm": "cloudwatch:{region}:{account}:alarm:{name}",
    "AWS::CloudWatch::CompositeAlarm": "cloudwatch:{region}:{account}:alarm:{name}",
    "AWS::DynamoDB::Table": "dynamodb:{region}:{account}:table/{name}",
    "AWS::Events::EventBus": "events:{region}:{account}:event-bus/{name}",
    "AWS::Events::Rule": "events:{region}:{account}:rule/{name}",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{name}",
    "AWS::Logs::LogGroup": "logs:{region}:{account}:log-group:{name}:*",
    "AWS::S3::Bucket": "s3:::{name}",
    "AWS::SNS::Topic": "sns:{region}:{account}:{name}",
    "AWS::SQS::Queue": "sqs:{region}:{account}:{name}",
    "AWS::StepFunctions::StateMachine": "states:{region}:{account}:stateMachine:{name}",
}
# Types whose Ref is an attribute, not the name.
_REFERENCED_ATTRIBUTES = {
    "AWS::Lambda::Alias": "AliasArn",
    "AWS::Lambda::Version": "FunctionArn",
    "AWS::SNS::Topic": "TopicArn",
}
_STACK_UUID = "00000000-0000-4000-8000-000000000000"
_VARIABLE = re.compile(r"\$\{(!?)([^}]*)\}")


def resource_arn(resource_type: str, name: str) -> str:
    """Return the ARN of a resource of a type that has one here."""
    return "arn:aws:" + _ARN_RESOURCES[resource_type].format(region=REGION, account=ACCOUNT_ID, name=name)


class IntrinsicError(Exception):
    """An intrinsic function that cannot be evaluated; the message is a sentence."""


class _NoValue:
    """Result of `AWS::NoValue`, which removes the property or list entry."""


_NO_VALUE = _NoValue()


class Evaluator:
    """Evaluates values of one template under one set of parameters."""

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, Any],
        *,
        place: Sequence[str] = (),
        find_output: Callable[[str, str], Any] | None = None,
    ) -> None:
        """Take a template.

        Args:
            template: the template after SAM's transform.
            parameters: a value for each parameter.
            place: logical IDs of the nested applications that lead to the template; empty for the root.
            find_output: returns an output of a nested application by the application's logical ID and the
                output's name. None if the template has none.
        """
        stack = "-".join((STACK_NAME, *place))
        self._parameters = {
            **_PSEUDO_PARAMETERS,
            "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT_ID}:stack/{stack}/{_STACK_UUID}",
            "AWS::StackName": stack,
            **parameters,
        }
        self._place = place
        self._find_output = find_output
        self._mappings = template.get("Mappings") or {}
        self._conditions = template.get("Conditions") or {}
        self._resources = template.get("Resources") or {}
        self._dependencies: dict[str, dict[str, None]] = {}
        self._evaluated = ""
        self._named: set[str] = set()
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Condition": self.is_true,
            "Fn::And": lambda operands: all(self._truth(operand) for operand in operands),
            "Fn::Base64": lambda text: base64.b64encode(str(self.evaluate(text)).encode()).decode(),
            "Fn::Contains": lambda pair: write_text(self.evaluate(pair[1])) in self._texts(pair[0]),
            "Fn::EachMemberEquals": lambda pair: set(self._texts(pair[0])) <= {write_text(self.evaluate(pair[1]))},
            "Fn::EachMemberIn": lambda pair: set(self._texts(pair[0])) <= set(self._texts(pair[1])),
            "Fn::Equals": lambda pair: write_text(self.evaluate(pair[0])) == write_text(self.evaluate(pair[1])),
            "Fn::FindInMap": self._find_in_map,
            "Fn::GetAZs": lambda _region: [f"{REGION}{zone}" for zone in "abc"],
            "Fn::GetAtt": self._get_attribute,
            "Fn::If": lambda branches: self.evaluate(branches[1 if self.is_true(branches[0]) else 2]),
            "Fn::ImportValue": self.evaluate,
            "Fn::Join": lambda parts: str(parts[0]).join(write_text(part) for part in self.evaluate(parts[1])),
            "Fn::Not": lambda operands: not self._truth(operands[0]),
            "Fn::Or": lambda operands: any(self._truth(operand) for operand in operands),
            "Fn::Select": lambda choice: self.evaluate(choice[1])[int(self.evaluate(choice[0]))],
            "Fn::Split": lambda parts: str(self.evaluate(parts[1])).split(parts[0]),
            "Fn::Sub": self._substitute,
        }

    def evaluate(self, value: Any) -> Any:
        """Return `value` with every intrinsic function in it replaced by its result.

        Raises:
            IntrinsicError: something is referred to that does not exist, or a function is misused.
        """
        match value:
            case dict():
                if len(value) == 1:
                    name, argument = next(iter(value.items()))
                    # An IAM policy's Condition block is spelled like the condition function.
                    if name in self._functions and not (name == "Condition" and not isinstance(argument, str)):
                        return self._call(name, argument)
                    if isinstance(name, str) and name.startswith("Fn::"):
                        raise IntrinsicError(f"{name} is not supported by the local engine.")
                pairs = ((name, self.evaluate(entry)) for name, entry in value.items())
                return {name: entry for name, entry in pairs if entry is not _NO_VALUE}
            case list():
                return [entry for entry in map(self.evaluate, value) if entry is not _NO_VALUE]
            case _:
                return value

    def is_true(self, condition: str) -> bool:
        """Evaluate a condition of the template by its name.

        Raises:
            IntrinsicError: there is no such condition.
        """
        if condition not in self._conditions:
            raise IntrinsicError(f"there is no condition {condition!r}; declare it under Conditions.")
        return self._truth(self._conditions[condition])

    def evaluate_resource(self, logical_id: str) -> dict[str, Any]:
        """Return a resource's properties, evaluated.

        Raises:
            IntrinsicError: as `evaluate`.
        """
        resource = self._resources[logical_id]
        depends_on = resource.get("DependsOn") or ()
        with self._evaluating(logical_id):
            for name in [depends_on] if isinstance(depends_on, str) else depends_on:
                self._depend_on(name)
            properties: dict[str, Any] = self.evaluate(resource.get("Properties") or {})
        name_property = _NAME_PROPERTIES.get(resource.get("Type"), "")
        if (self._place or resource.get("Type") == "AWS::Lambda::Function") and name_property:
            properties.setdefault(name_property, self.resource_name(logical_id))
        return properties

    def resource_name(self, logical_id: str) -> str:
        """Return a resource's physical name.

        That is the name in its properties, or else its logical ID after those of the nested applications that lead
        to it: `Identity-UserPool`. A function's name starts with the stack's.
        """
        resource = self._resources[logical_id]
        name_property = _NAME_PROPERTIES.get(resource.get("Type"), "")
        if logical_id in self._named:
            raise IntrinsicError(f"the name of {logical_id} depends on itself.")
        self._named.add(logical_id)
        try:
            name = self.evaluate((resource.get("Properties") or {}).get(name_property))
        finally:
            self._named.remove(logical_id)
        if isinstance(name, str):
            return name
        # CloudFormation starts every generated name with the stack's. Here only functions do: policies and dashboards
        # find a stack's functions by that prefix.
        is_function = resource.get("Type") == "AWS::Lambda::Function"
        return "-".join((*([STACK_NAME] if is_function else []), *self._place, logical_id))

    def reference(self, logical_id: str) -> Any:
        """Return what `Ref` gives for a resource."""
        kind = self._resources[logical_id].get("Type")
        if attribute := _REFERENCED_ATTRIBUTES.get(kind):
            return self._get_attribute([logical_id, attribute])
        name = self.resource_name(logical_id)
        if kind == APPLICATION:
            return f"arn:aws:cloudformation:{REGION}:{ACCOUNT_ID}:stack/{STACK_NAME}-{name}/{_STACK_UUID}"
        return name

    def find_circle(self) -> list[str]:
        """Return the logical IDs of resources that depend on each other in a circle; empty if there is none.

        CloudFormation creates a resource after all that its properties refer to, so it rejects such a template. Only
        resources that were evaluated count.
        """
        done: set[str] = set()
        way: list[str] = []

        def search(name: str) -> list[str]:
            if name in way:
                return [*way[way.index(name) :], name]
            if name in done:
                return []
            way.append(name)
            for dependency in self._dependencies.get(name, ()):
                if circle := search(dependency):
                    return circle
            done.add(way.pop())
            return []

        return next(filter(None, map(search, self._dependencies)), [])

    @contextmanager
    def _evaluating(self, logical_id: str) -> Iterator[None]:
        before, self._evaluated = self._evaluated, logical_id
        self._dependencies.setdefault(logical_id, {})
        try:
            yield
        finally:
            self._evaluated = before

    def _depend_on(self, logical_id: str) -> None:
        if self._evaluated and logical_id != self._evaluated:
            self._dependencies[self._evaluated][logical_id] = None

    def _call(self, name: str, argument: Any) -> Any:
        try:
            return self._functions[name](argument)
        except (TypeError, ValueError, IndexError, KeyError) as error:
            raise IntrinsicError(f"{name} cannot be evaluated with {argument!r}.") from error

    def _truth(self, operand: Any) -> bool:
        result = self.evaluate(operand)
        if not isinstance(result, bool):
            raise IntrinsicError(f"{operand!r} is not a condition.")
        return result

    def _texts(self, operand: Any) -> list[str]:
        result = self.evaluate(operand)
        if not isinstance(result, list):
            raise IntrinsicError(f"{operand!r} is not a list.")
        return [write_text(entry) for entry in result]

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name in self._parameters:
            return self._parameters[name]
        if name not in self._resources:
            raise IntrinsicError(f"Ref names {name!r}, which is neither a parameter nor a resource of the template.")
        self._depend_on(name)
        return self.reference(name)

    def _get_attribute(self, argument: Any) -> Any:
        logical_id, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        attribute = str(self.evaluate(attribute))
        if logical_id not in self._resources:
            raise IntrinsicError(f"Fn::GetAtt names {logical_id!r}, which is not a resource of the template.")
        self._depend_on(logical_id)
        resource = self._resources[logical_id]
        match resource.get("Type"), attribute:
            case "AWS::Lambda::Alias", "AliasArn":
                return self._qualified_arn(resource, self.evaluate(resource["Properties"]["Name"]))
            case "AWS::Lambda::Version", "FunctionArn":
                return self._qualified_arn(resource, ONLY_VERSION)
            case "AWS::Lambda::Version", "Version":
                return ONLY_VERSION
            case str(kind), _ if kind == APPLICATION and self._find_output:
                return self._find_output(logical_id, attribute.removeprefix("Outputs."))
        name = self.resource_name(logical_id)
        if attribute in ("Arn", "TopicArn") and resource.get("Type") in _ARN_RESOURCES:
            return resource_arn(resource["Type"], name)
        if attribute == "StreamArn":
            return f"arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/{name}/stream/local"
        if attribute in ("QueueName", "TopicName", "Name"):
            return name
        return f"{logical_id}.{attribute}"

    def _qualified_arn(self, resource: Mapping[str, Any], qualifier: str) -> str:
        # A function may also be named by its ARN.
        function = str(self.evaluate(resource["Properties"]["FunctionName"])).rpartition(":")[2]
        return f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{function}:{qualifier}"

    def _substitute(self, argument: Any) -> str:
        text, variables = (argument, {}) if isinstance(argument, str) else argument

        def replace(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            if name in variables:
                return write_text(self.evaluate(variables[name]))
            return write_text(self._get_attribute(name) if "." in name else self._ref(name))

        return _VARIABLE.sub(replace, text)

    def _find_in_map(self, argument: Any) -> Any:
        names = [self.evaluate(key) for key in argument[:3]]
        found: Any = self._mappings
        for name in names:
            if not isinstance(found, dict) or name not in found:
                raise IntrinsicError(f"Fn::FindInMap finds nothing at {'.'.join(map(str, names))}.")
            found = found[name]
        return self.evaluate(found)


def write_text(value: Any) -> str:
    """Return a value as CloudFormation writes it into text or passes it to a parameter."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(write_text, value))
    return str(value)
