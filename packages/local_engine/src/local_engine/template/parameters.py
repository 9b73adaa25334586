"""Values of a template's parameters, and the rules that check them."""

import contextlib
import re
import sys
from collections.abc import Mapping
from typing import Any

from local_engine.template.errors import ParameterError, ParametersRefused, TemplateError, Unresolved
from local_engine.template.intrinsics import Evaluator

_STORED = "AWS::SSM::Parameter::Value<"


def read_parameters(template: Mapping[str, Any], given: Mapping[str, str], owner: str) -> dict[str, Any]:
    """Return a value for each parameter that a template declares.

    The value of a parameter that stands in AWS's parameter store and is not given is an `Unresolved`.

    Args:
        template: the template.
        given: values that replace the defaults.
        owner: names the template in errors.

    Raises:
        ParameterError: values are unknown, missing or not allowed. The message has a sentence for each.
        ParametersRefused: the template's rules reject the values.
    """
    declared: Mapping[str, Any] = template.get("Parameters") or {}
    if not isinstance(declared, dict):
        raise TemplateError(f"{owner}: Parameters is not a mapping.")
    problems = [
        f"{owner} has no parameter {name!r}; it has {', '.join(declared) or 'none'}."
        for name in sorted(given.keys() - declared.keys())
    ]
    values: dict[str, Any] = {}
    missing = []
    for name, declaration in declared.items():
        if not isinstance(declaration, dict):
            problems.append(f"{owner}: parameter {name} is not a mapping with a Type.")
            continue
        value = given.get(name, declaration.get("Default"))
        allowed = declaration.get("AllowedValues")
        if value is None:
            missing.append(name)
        elif isinstance(allowed, list) and str(value) not in map(str, allowed):
            choices = ", ".join(map(str, allowed))
            problems.append(f"{owner}: parameter {name} is {value!r}; it must be one of {choices}.")
        elif not _meets_constraints(value, declaration):
            rule = declaration.get("ConstraintDescription") or "see the constraints in the template"
            problems.append(f"{owner}: parameter {name} is {value!r}: {rule}.")
        else:
            values[name] = _convert(name, value, str(declaration.get("Type")), is_given=name in given)
    if len(missing) == 1:
        problems.append(
            f"{owner}: parameter {missing[0]} has no default. Give it a value with --parameters {missing[0]}=…."
        )
    elif missing:
        example = " ".join(f"{name}=…" for name in missing)
        problems.append(
            f"{owner}: parameters {', '.join(missing)} have no default. Give them values with --parameters {example}."
        )
    if problems:
        raise ParameterError("\n".join(problems))
    _check_rules(template, values, owner)
    return values


def _convert(name: str, value: Any, kind: str, *, is_given: bool) -> Any:
    if kind.startswith(_STORED):
        if not is_given:
            return Unresolved(
                f"parameter {name} stands for {value!r} in AWS's parameter store. Set it with --parameters {name}=…."
            )
        kind = kind.removeprefix(_STORED)
    return _split(value) if _is_list(kind) else str(value)


def _meets_constraints(value: Any, declaration: Mapping[str, Any]) -> bool:
    """Return whether a value has the declared pattern, length and size ("Parameters", CloudFormation User Guide).

    A constraint that cannot be read, such as a pattern in another dialect, is met.
    """
    kind = str(declaration.get("Type"))
    entries = _split(value) if _is_list(kind) else [str(value)]
    with contextlib.suppress(ValueError, TypeError, re.error):
        pattern = re.compile(str(declaration.get("AllowedPattern", "(?s:.*)")))
        shortest, longest = int(declaration.get("MinLength", 0)), int(declaration.get("MaxLength", sys.maxsize))
        if not all(pattern.fullmatch(entry) and shortest <= len(entry) <= longest for entry in entries):
            return False
    if not kind.endswith(("Number", "Number>")):
        return True
    try:
        numbers = [float(entry) for entry in entries]
    except ValueError:
        return False
    with contextlib.suppress(ValueError, TypeError):
        least, most = float(declaration.get("MinValue", "-inf")), float(declaration.get("MaxValue", "inf"))
        return all(least <= number <= most for number in numbers)
    return True


def _is_list(kind: str) -> bool:
    return kind.startswith(("CommaDelimitedList", "List<"))


def _split(value: Any) -> list[str]:
    return [entry.strip() for entry in str(value).split(",")]


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
    except Unresolved as error:
        raise TemplateError(f"{owner}: Rules: {error}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise TemplateError(
            f"{owner}: Rules must be a mapping of rules with Assertions, each with an Assert."
        ) from error
    if refusals:
        raise ParametersRefused(refusals)
