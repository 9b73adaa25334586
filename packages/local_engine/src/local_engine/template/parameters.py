"""Values of a template's parameters, and the rules that check them."""

import re
from collections.abc import Mapping
from typing import Any

from local_engine.template.intrinsics import Evaluator, IntrinsicError
from local_engine.template.stack import ParametersRefused, TemplateError


def read_parameters(template: Mapping[str, Any], given: Mapping[str, str], owner: str) -> dict[str, Any]:
    """Return a value for each parameter that a template declares.

    Args:
        template: the template.
        given: values that replace the defaults.
        owner: names the template in errors.

    Raises:
        TemplateError: a value is unknown, missing or not allowed.
        ParametersRefused: the template's rules reject the values.
    """
    declared: Mapping[str, Any] = template.get("Parameters") or {}
    if unknown := sorted(given.keys() - declared.keys()):
        raise TemplateError(f"{owner} has no parameter {unknown[0]!r}; it has {', '.join(declared) or 'none'}.")
    values: dict[str, Any] = {}
    for name, declaration in declared.items():
        value = given.get(name, declaration.get("Default"))
        if value is None:
            raise TemplateError(f"{owner}: parameter {name} has no default. Give it a value with {name}=….")
        allowed = declaration.get("AllowedValues")
        if allowed and value not in allowed and str(value) not in map(str, allowed):
            choices = ", ".join(map(str, allowed))
            raise TemplateError(f"{owner}: parameter {name} is {value!r}; it must be one of {choices}.")
        is_list = declaration.get("Type") == "CommaDelimitedList" or str(declaration.get("Type")).startswith("List<")
        entries = [entry.strip() for entry in str(value).split(",")] if is_list else [str(value)]
        if not all(_meets_constraints(entry, declaration) for entry in entries):
            rule = declaration.get("ConstraintDescription") or "see the constraints in the template"
            raise TemplateError(f"{owner}: parameter {name} is {value!r}: {rule}.")
        values[name] = entries if is_list else entries[0]
    _check_rules(template, values, owner)
    return values


def _meets_constraints(value: str, declaration: Mapping[str, Any]) -> bool:
    """Return whether a value has the declared pattern, length and size ("Parameters", CloudFormation User Guide)."""
    if not re.fullmatch(str(declaration.get("AllowedPattern", "(?s:.*)")), value):
        return False
    if not int(declaration.get("MinLength", 0)) <= len(value) <= int(declaration.get("MaxLength", len(value))):
        return False
    if not str(declaration.get("Type")).endswith(("Number", "Number>")):
        return True
    try:
        number = float(value)
    except ValueError:
        return False
    return float(declaration.get("MinValue", number)) <= number <= float(declaration.get("MaxValue", number))


def _check_rules(template: Mapping[str, Any], values: Mapping[str, Any], owner: str) -> None:
    # CloudFormation checks rules before it creates anything ("Rules", CloudFormation Template Reference).
    # They refer to parameters only.
    evaluator = Evaluator({}, values)
    try:
        refusals = [
            str(assertion.get("AssertDescription", f"an assertion of rule {name} fails."))
            for name, rule in (template.get("Rules") or {}).items()
            if evaluator.evaluate(rule.get("RuleCondition", True))
            for assertion in rule["Assertions"]
            if not evaluator.evaluate(assertion["Assert"])
        ]
    except IntrinsicError as error:
        raise TemplateError(f"{owner}: Rules: {error}") from error
    if refusals:
        raise ParametersRefused(refusals)
