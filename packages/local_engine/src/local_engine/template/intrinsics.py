"""Intrinsic functions and conditions, including those of rules.

Source: "Intrinsic function reference" and "Rule functions", CloudFormation Template Reference.
"""

import hashlib
import json
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from local_engine.account import ACCOUNT_ID, REGION
from local_engine.template.errors import Unresolved
from local_engine.template.generated_secrets import generate_secret
from local_engine.template.properties import Properties
from local_engine.template.value_functions import VALUE_FUNCTIONS, write_text

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
    "AWS::ApiGateway::Stage": "StageName",
    "AWS::ApiGatewayV2::Stage": "StageName",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::CompositeAlarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::EventBus": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SSM::Parameter": "Name",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::Scheduler::ScheduleGroup": "Name",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}
_ARN_RESOURCES = {
    "AWS::CloudWatch::Alarm": "cloudwatch:{region}:{account}:alarm:{name}",
    "AWS::CloudWatch::CompositeAlarm": "cloudwatch:{region}:{account}:alarm:{name}",
    "AWS::Cognito::UserPool": "cognito-idp:{region}:{account}:userpool/{name}",
    "AWS::DynamoDB::Table": "dynamodb:{region}:{account}:table/{name}",
    "AWS::Events::EventBus": "events:{region}:{account}:event-bus/{name}",
    "AWS::Events::Rule": "events:{region}:{account}:rule/{name}",
    "AWS::IAM::Group": "iam::{account}:group/{name}",
    "AWS::IAM::ManagedPolicy": "iam::{account}:policy/{name}",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::IAM::User": "iam::{account}:user/{name}",
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{name}",
    "AWS::Logs::LogGroup": "logs:{region}:{account}:log-group:{name}:*",
    "AWS::S3::Bucket": "s3:::{name}",
    "AWS::SNS::Topic": "sns:{region}:{account}:{name}",
    "AWS::SQS::Queue": "sqs:{region}:{account}:{name}",
    "AWS::SSM::Parameter": "ssm:{region}:{account}:parameter/{name}",
    "AWS::Scheduler::ScheduleGroup": "scheduler:{region}:{account}:schedule-group/{name}",
    "AWS::StepFunctions::StateMachine": "states:{region}:{account}:stateMachine:{name}",
}
# Types whose Ref is an attribute, not the name.
_REFERENCED_ATTRIBUTES = {
    "AWS::IAM::ManagedPolicy": "Arn",
    "AWS::Lambda::Alias": "AliasArn",
    "AWS::Lambda::Url": "FunctionArn",
    "AWS::Lambda::Version": "FunctionArn",
    "AWS::SNS::Topic": "TopicArn",
    "AWS::SQS::Queue": "QueueUrl",
    "AWS::SecretsManager::Secret": "Id",
    "AWS::StepFunctions::StateMachine": "Arn",
}
# Suffix of the generated name if a property is true.
_NAME_SUFFIXES = {"AWS::SNS::Topic": ("FifoTopic", ".fifo"), "AWS::SQS::Queue": ("FifoQueue", ".fifo")}
# Attributes that are a resource's name in a frame.
_NAMED_ATTRIBUTES = {
    ("AWS::Cognito::UserPool", "ProviderName"): "cognito-idp.{region}.amazonaws.com/{name}",
    ("AWS::Cognito::UserPool", "ProviderURL"): "https://cognito-idp.{region}.amazonaws.com/{name}",
    ("AWS::Cognito::UserPool", "UserPoolId"): "{name}",
    ("AWS::Cognito::UserPoolClient", "ClientId"): "{name}",
    ("AWS::S3::Bucket", "DomainName"): "{name}.s3.amazonaws.com",
    ("AWS::S3::Bucket", "DualStackDomainName"): "{name}.s3.dualstack.{region}.amazonaws.com",
    ("AWS::S3::Bucket", "RegionalDomainName"): "{name}.s3.{region}.amazonaws.com",
    ("AWS::S3::Bucket", "WebsiteURL"): "http://{name}.s3-website-{region}.amazonaws.com",
    # Without the random end, which Secrets Manager accepts as well.
    ("AWS::SecretsManager::Secret", "Id"): "arn:aws:secretsmanager:{region}:{account}:secret:{name}",
    ("AWS::SQS::Queue", "QueueUrl"): "https://sqs.{region}.amazonaws.com/{account}/{name}",
}
_STACK_UUID = "00000000-0000-4000-8000-000000000000"
_VARIABLE = re.compile(r"\$\{(!?)([^}]*)\}")
_DYNAMIC_REFERENCE = re.compile(r"\{\{resolve:([^:}]+):([^}]*)\}\}")
# The resources behind dynamic references, and the property with the value.
_SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - a resource type
_REFERENCED_STORES = {
    "secretsmanager": (_SECRET, "SecretString"),
    "ssm": ("AWS::SSM::Parameter", "Value"),
    "ssm-secure": ("AWS::SSM::Parameter", "Value"),
}
_SECRET_ID = re.compile(r"arn(:[^:]*){6}|[^:]*")


def resource_arn(resource_type: str, name: str) -> str:
    """Return the ARN of a resource of a type that has one here."""
    return "arn:aws:" + _ARN_RESOURCES[resource_type].format(region=REGION, account=ACCOUNT_ID, name=name)


def function_url_host(logical_id: str) -> str:
    """Return the host name that a function URL has in AWS."""
    return f"{hashlib.sha256(logical_id.encode()).hexdigest()[:32]}.lambda-url.{REGION}.on.aws"


REFUSAL = "x-local-engine-refusal"
"""In an evaluated document, `{REFUSAL: sentence}` stands for a part that cannot be evaluated."""


class _NoValue:
    """Result of `AWS::NoValue`, which removes the property or list entry."""


_NO_VALUE = _NoValue()
# Properties that are evaluated part by part, and how deep: an operation of a path, a security scheme, a layer.
_PARTED_PROPERTIES = {
    "AWS::ApiGateway::RestApi": ("Body", 3),
    "AWS::ApiGatewayV2::Api": ("Body", 3),
    # A part of a statement, such as its resource.
    "AWS::IAM::Group": ("Policies", 6),
    "AWS::IAM::GroupPolicy": ("PolicyDocument", 4),
    "AWS::IAM::ManagedPolicy": ("PolicyDocument", 4),
    "AWS::IAM::Policy": ("PolicyDocument", 4),
    "AWS::IAM::Role": ("Policies", 6),
    "AWS::IAM::RolePolicy": ("PolicyDocument", 4),
    "AWS::IAM::User": ("Policies", 6),
    "AWS::IAM::UserPolicy": ("PolicyDocument", 4),
    "AWS::Lambda::Function": ("Layers", 1),
}


class Evaluator:
    """Evaluates values of one template under one set of parameters."""

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, Any],
        *,
        place: Sequence[str] = (),
        find_output: Callable[[str, str], Any] | None = None,
        outer: "Evaluator | None" = None,
    ) -> None:
        """Take a template.

        Args:
            template: the template after SAM's transform.
            parameters: a value for each parameter.
            place: logical IDs of the nested applications that lead to the template; empty for the root.
            find_output: returns an output of a nested application by the application's logical ID and the
                output's name. None if the template has none.
            outer: evaluator of the template around it, whose secrets and parameters dynamic references reach too.
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
        self._outer = outer
        self._mappings = template.get("Mappings") or {}
        self._conditions = template.get("Conditions") or {}
        self._resources = template.get("Resources") or {}
        self._dependencies: dict[str, dict[str, None]] = {}
        self._evaluated = ""
        self._active: set[str] = set()
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Condition": self.is_true,
            "Fn::And": lambda operands: all(self._truth(operand) for operand in operands),
            "Fn::FindInMap": self._find_in_map,
            "Fn::GetAZs": lambda _region: [f"{REGION}{zone}" for zone in "abc"],
            "Fn::GetAtt": self._get_attribute,
            "Fn::If": lambda argument: self.evaluate(self._find_branch(argument)),
            "Fn::ImportValue": self._import,
            "Fn::Not": lambda operands: not self._truth(operands[0]),
            "Fn::Or": lambda operands: any(self._truth(operand) for operand in operands),
            "Fn::Sub": self._substitute,
            **{name: partial(self._apply, function) for name, function in VALUE_FUNCTIONS.items()},
        }

    def evaluate(self, value: Any) -> Any:
        """Return `value` with every intrinsic function in it replaced by its result.

        Raises:
            Unresolved: something is referred to that does not exist, or a function is misused.
        """
        match value:
            case dict():
                if len(value) == 1:
                    name, argument = next(iter(value.items()))
                    # An IAM policy's Condition block is spelled like the condition function.
                    if name in self._functions and not (name == "Condition" and not isinstance(argument, str)):
                        return self._call(name, argument)
                    if isinstance(name, str) and name.startswith("Fn::"):
                        raise Unresolved(f"{name} is not supported by the local engine.")
                pairs = ((name, self.evaluate(entry)) for name, entry in value.items())
                return {name: entry for name, entry in pairs if entry is not _NO_VALUE}
            case list():
                return [entry for entry in map(self.evaluate, value) if entry is not _NO_VALUE]
            case str() if "{{resolve:" in value:
                return _DYNAMIC_REFERENCE.sub(self.resolve, value)
            case _:
                return value

    def is_true(self, condition: Any) -> bool:
        """Evaluate a condition of the template by its name.

        Raises:
            Unresolved: there is no such condition, or it cannot be evaluated.
        """
        if not isinstance(condition, str) or condition not in self._conditions:
            raise Unresolved(f"there is no condition {condition!r}; declare it under Conditions.")
        with self._entering(f"Condition {condition}"):
            return self._truth(self._conditions[condition])

    def resolve(self, match: re.Match[str]) -> str:
        """Return the value behind a dynamic reference, which is a match of `_DYNAMIC_REFERENCE`.

        Raises:
            Unresolved: neither this template nor one around it has the secret or parameter.
        """
        text, service, rest = match[0], match[1], match[2]
        kind, attribute = _REFERENCED_STORES.get(service, ("", ""))
        found = _SECRET_ID.match(rest) if service == "secretsmanager" else None
        name = found[0] if found else rest.partition(":")[0]
        for logical_id, resource in self._resources.items():
            if resource["Type"] != kind or name not in (self.resource_name(logical_id), self.reference(logical_id)):
                continue
            properties = resource.get("Properties") or {}
            with self._entering(f"the value of {logical_id}"):
                value = self.evaluate(properties.get(attribute))
                if value is None and kind == _SECRET and (generator := properties.get("GenerateSecretString")):
                    value = self._generate_secret(logical_id, self.evaluate(generator))
            if value is None:
                break
            key = rest[len(name) :].split(":")[2:3] if found else []
            return write_text(self._find_key(text, value, key[0]) if key and key[0] else value)
        if self._outer:
            return self._outer.resolve(match)
        raise Unresolved(f"{text} refers to a value that is not in the template.")

    def evaluate_resource(self, logical_id: str) -> Properties:
        """Return a resource's properties. Those that cannot be evaluated raise `Unresolved` when they are read."""
        resource = self._resources[logical_id]
        properties: dict[str, Any] = {}
        unresolved: dict[str, str] = {}
        parted, depth = _PARTED_PROPERTIES.get(resource["Type"], ("", 0))
        with self._evaluating(logical_id):
            for name in _list_names(resource.get("DependsOn")):
                self._depend_on(name)
            for name, value in (resource.get("Properties") or {}).items():
                try:
                    result = self._evaluate_parts(value, depth) if name == parted else self.evaluate(value)
                except Unresolved as error:
                    unresolved[name] = str(error)
                else:
                    if result is not _NO_VALUE:
                        properties[name] = result
        if (generator := properties.get("GenerateSecretString")) and resource["Type"] == _SECRET:
            try:
                properties.setdefault("SecretString", self._generate_secret(logical_id, generator))
            except Unresolved as error:
                unresolved["SecretString"] = str(error)
        name_property = _NAME_PROPERTIES.get(resource["Type"], "")
        if (self._place or resource["Type"] == "AWS::Lambda::Function") and name_property not in ("", *unresolved):
            properties.setdefault(name_property, self.resource_name(logical_id))
        return Properties(properties, unresolved)

    def _evaluate_parts(self, value: Any, depth: int) -> Any:
        """Evaluate a value. What cannot be evaluated `depth` levels down becomes a refusal."""
        if isinstance(value, list) and depth:
            entries = (self._evaluate_parts(entry, depth - 1) for entry in value)
            return [entry for entry in entries if entry is not _NO_VALUE]
        if isinstance(value, dict) and depth:
            if value.keys() == {"Fn::If"}:
                return self._evaluate_parts(self._call("Fn::If", value["Fn::If"], self._find_branch), depth)
            if not (len(value) == 1 and next(iter(value)) in self._functions):
                parts = ((name, self._evaluate_parts(entry, depth - 1)) for name, entry in value.items())
                return {name: entry for name, entry in parts if entry is not _NO_VALUE}
        try:
            return self.evaluate(value)
        except Unresolved as error:
            return {REFUSAL: str(error)}

    def resource_name(self, logical_id: str) -> str:
        """Return a resource's physical name.

        That is the name in its properties, or else its logical ID after those of the nested applications that lead
        to it. Logical IDs as default names make log output and table names readable.

        Raises:
            Unresolved: the name depends on itself, or cannot be evaluated.
        """
        resource = self._resources[logical_id]
        name_property = _NAME_PROPERTIES.get(resource["Type"], "")
        with self._entering(f"the name of {logical_id}"):
            name = self.evaluate((resource.get("Properties") or {}).get(name_property))
        if isinstance(name, str):
            return name
        if resource["Type"] == "AWS::Cognito::UserPool":
            # The ID, which issuers and ARNs name. A pool's own name need not be unique.
            return f"{REGION}_{''.join((*self._place, logical_id))}"
        # CloudFormation starts every generated name with the stack's. Here only functions do: policies and dashboards
        # find a stack's functions by that prefix.
        is_function = resource["Type"] == "AWS::Lambda::Function"
        name = "-".join((*([STACK_NAME] if is_function else []), *self._place, logical_id))
        if resource["Type"] == "AWS::S3::Bucket":
            return name.lower()
        switch, suffix = _NAME_SUFFIXES.get(resource["Type"], ("", ""))
        is_suffixed = switch and write_text(self.evaluate((resource.get("Properties") or {}).get(switch))) == "true"
        return name + suffix if is_suffixed else name

    def reference(self, logical_id: str) -> Any:
        """Return what `Ref` gives for a resource."""
        kind = self._resources[logical_id]["Type"]
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

    @contextmanager
    def _entering(self, what: str) -> Iterator[None]:
        if what in self._active:
            raise Unresolved(f"{what} depends on itself.")
        self._active.add(what)
        try:
            yield
        finally:
            self._active.remove(what)

    def _depend_on(self, logical_id: str) -> None:
        is_application = self._resources.get(logical_id, {}).get("Type") == APPLICATION
        # An application that needs its own outputs is reported when they are read.
        if self._evaluated and not (logical_id == self._evaluated and is_application):
            self._dependencies[self._evaluated][logical_id] = None

    def _call(self, name: str, argument: Any, function: Callable[[Any], Any] | None = None) -> Any:
        try:
            return (function or self._functions[name])(argument)
        except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            raise Unresolved(f"{name} cannot be evaluated with {_shorten(argument)}.") from error

    def _apply(self, function: Callable[[Any], Any], argument: Any) -> Any:
        return function(self.evaluate(argument))

    def _find_branch(self, argument: Any) -> Any:
        condition, if_true, if_false = argument
        return if_true if self.is_true(condition) else if_false

    def _import(self, argument: Any) -> Any:
        raise Unresolved(f"Fn::ImportValue needs {self.evaluate(argument)!r} of another stack, which is not here.")

    def _generate_secret(self, logical_id: str, settings: Any) -> str:
        try:
            return generate_secret(self.resource_name(logical_id), settings)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise Unresolved(f"GenerateSecretString cannot be {_shorten(settings)}.") from error

    def _find_key(self, text: str, value: Any, key: str) -> Any:
        try:
            return json.loads(value)[key]
        except (ValueError, TypeError, LookupError) as error:
            raise Unresolved(f"{text} refers to a key that the secret does not have.") from error

    def _truth(self, operand: Any) -> bool:
        result = self.evaluate(operand)
        if not isinstance(result, bool):
            raise Unresolved(f"{_shorten(operand)} is not a condition.")
        return result

    def _ref(self, argument: Any) -> Any:
        name = self.evaluate(argument)
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name in self._parameters:
            value = self._parameters[name]
            if isinstance(value, Unresolved):
                raise Unresolved(str(value))
            return value
        if name not in self._resources:
            raise Unresolved(f"Ref names {name!r}, which is neither a parameter nor a resource of the template.")
        self._depend_on(name)
        return self.reference(name)

    def _get_attribute(self, argument: Any) -> Any:
        logical_id, attribute = argument.split(".", 1) if isinstance(argument, str) else map(self.evaluate, argument)
        attribute = write_text(attribute)
        if logical_id not in self._resources:
            raise Unresolved(f"Fn::GetAtt names {logical_id!r}, which is not a resource of the template.")
        self._depend_on(logical_id)
        if self._find_output and self._resources[logical_id]["Type"] == APPLICATION:
            return self._find_output(logical_id, attribute.removeprefix("Outputs."))
        with self._entering(f"{logical_id}.{attribute}"):
            return self._find_attribute(logical_id, attribute)

    def _find_attribute(self, logical_id: str, attribute: str) -> Any:
        resource = self._resources[logical_id]
        try:
            value = self._find_lambda_attribute(logical_id, resource, attribute)
        except (KeyError, TypeError) as error:
            raise Unresolved(f"{logical_id} lacks a property that its {attribute} is made of.") from error
        if value is not None:
            return value
        return self._find_named_attribute(logical_id, attribute)

    def _find_named_attribute(self, logical_id: str, attribute: str) -> Any:
        """Return an attribute that is made of the resource's name."""
        resource = self._resources[logical_id]
        name = self.resource_name(logical_id)
        properties = resource.get("Properties") or {}
        match resource["Type"], attribute:
            case "AWS::Events::Rule", "Arn" if bus := self._short_name(properties.get("EventBusName")):
                name = name if bus == "default" else f"{bus}/{name}"
            case "AWS::Scheduler::Schedule", "Arn":
                group = self.evaluate(properties.get("GroupName")) or "default"
                return f"arn:aws:scheduler:{REGION}:{ACCOUNT_ID}:schedule/{group}/{name}"
            case "AWS::SSM::Parameter", "Type" | "Value":
                return self.evaluate(properties.get(attribute))
            case "AWS::SSM::Parameter", "Arn":
                name = name.removeprefix("/")
        if frame := _NAMED_ATTRIBUTES.get((resource["Type"], attribute)):
            return frame.format(region=REGION, account=ACCOUNT_ID, name=name)
        if attribute in ("Arn", "TopicArn") and resource["Type"] in _ARN_RESOURCES:
            return resource_arn(resource["Type"], name)
        if attribute == "StreamArn":
            return f"arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/{name}/stream/local"
        if attribute in ("QueueName", "TopicName", "Name"):
            return name
        return f"{logical_id}.{attribute}"

    def _short_name(self, value: Any) -> str:
        # An event bus may also be named by its ARN.
        return str(self.evaluate(value) or "").rpartition("/")[2]

    def _find_lambda_attribute(self, logical_id: str, resource: Mapping[str, Any], attribute: str) -> str | None:
        match resource["Type"], attribute:
            case "AWS::Lambda::Alias", "AliasArn":
                return self._qualified_arn(resource, self.evaluate(resource["Properties"]["Name"]))
            case "AWS::Lambda::Version", "FunctionArn":
                return self._qualified_arn(resource, ONLY_VERSION)
            case "AWS::Lambda::Version", "Version":
                return ONLY_VERSION
            case "AWS::Lambda::Url", "FunctionArn":
                target = str(self.evaluate(resource["Properties"]["TargetFunctionArn"]))
                return target if ":function:" in target else resource_arn("AWS::Lambda::Function", target)
            case "AWS::Lambda::Url", "FunctionUrl":
                return f"https://{function_url_host('/'.join((*self._place, logical_id)))}/"
        return None

    def _qualified_arn(self, resource: Mapping[str, Any], qualifier: str) -> str:
        # A function may also be named by its ARN.
        function = str(self.evaluate(resource["Properties"]["FunctionName"])).rpartition(":")[2]
        return f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{function}:{qualifier}"

    def _substitute(self, argument: Any) -> str:
        text, variables = (argument, {}) if isinstance(argument, str) else argument

        def replace(match: re.Match[str]) -> str:
            literal, name = match[1], match[2].strip()
            if literal:
                return f"${{{match[2]}}}"
            if name in variables:
                return self._write(self.evaluate(variables[name]))
            return self._write(self._get_attribute(name) if "." in name else self._ref(name))

        return str(self.evaluate(_VARIABLE.sub(replace, text)))

    def _write(self, value: Any) -> str:
        if not isinstance(value, str | int | float | list):
            raise TypeError
        return write_text(value)

    def _find_in_map(self, argument: Any) -> Any:
        names = [self.evaluate(key) for key in argument[:3]]
        if len(names) != 3:
            raise ValueError
        found: Any = self._mappings
        for name in names:
            if not isinstance(found, dict) or write_text(name) not in found:
                if len(argument) > 3:
                    return self.evaluate(argument[3]["DefaultValue"])
                raise Unresolved(f"Fn::FindInMap finds nothing at {'.'.join(map(str, names))}.")
            found = found[write_text(name)]
        return self.evaluate(found)


def _list_names(value: Any) -> list[str]:
    entries = value if isinstance(value, list) else [value]
    return [entry for entry in entries if isinstance(entry, str)]


def _shorten(value: Any) -> str:
    return reprlib.Repr(maxlevel=4, maxstring=100, maxother=100).repr(value)
