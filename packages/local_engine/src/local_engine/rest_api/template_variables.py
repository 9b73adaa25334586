"""Variables in templates and parameters of gateway responses and mock integrations.

Source: "API Gateway mapping template and access logging variable reference" (API Gateway Developer Guide). Gateway
responses only substitute variables. The rest of the Velocity Template Language is not served.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_VARIABLE = re.compile(
    r"""
    \$(?:\{(?P<braced>(?:context|stageVariables)\.[\w.-]+)\}|(?P<bare>(?:context|stageVariables)(?:\.[\w-]+)+))
    |\$input\.params\(['"]?(?P<parameter>[\w.-]+)['"]?\)
    """,
    re.VERBOSE,
)
_DIRECTIVE = re.compile(r"#(set|if|foreach|else|elseif|end)\b|\$(?!context\.|stageVariables\.|input\.params\(|\{)[a-z]")


@dataclass(frozen=True)
class Variables:
    """The values that templates and parameters can use."""

    context: Mapping[str, str]
    """Without `$context.` in their names."""
    stage_variables: Mapping[str, str]
    headers: Mapping[str, Sequence[str]]
    """By name in lower case."""
    query: Mapping[str, Sequence[str]]
    path: Mapping[str, str]

    def substitute(self, template: str) -> str:
        """Return a template with its variables replaced. One without a value becomes empty."""

        def replace(match: re.Match[str]) -> str:
            if match["parameter"]:
                return self._find_parameter(match["parameter"])
            kind, _, name = (match["braced"] or match["bare"]).partition(".")
            return (self.context if kind == "context" else self.stage_variables).get(name, "")

        return _VARIABLE.sub(replace, template)

    def evaluate(self, expression: str) -> str | None:
        """Return the value of a mapping expression, or None if it has none.

        Args:
            expression: a literal in single quotes, `method.request.…`, `context.…` or `stageVariables.…`.
        """
        if len(expression) > 1 and expression[0] == expression[-1] == "'":
            return expression[1:-1]
        for prefix, values in (
            ("method.request.path.", self.path),
            ("context.", self.context),
            ("stageVariables.", self.stage_variables),
        ):
            if expression.startswith(prefix):
                return values.get(expression.removeprefix(prefix))
        kind, _, name = expression.removeprefix("method.request.").partition(".")
        found: Sequence[str] = ()
        match kind:
            case "header" | "multivalueheader":
                found = self.headers.get(name.lower(), ())
            case "querystring" | "multivaluequerystring":
                found = self.query.get(name, ())
        return (",".join(found) if kind.startswith("multi") else found[-1]) if found else None

    def _find_parameter(self, name: str) -> str:
        values = self.query.get(name) or self.headers.get(name.lower()) or ("",)
        return self.path.get(name) or values[-1]


def is_substitution_only(template: str) -> bool:
    """Return whether a template has nothing of the Velocity Template Language but variables."""
    return _DIRECTIVE.search(template) is None
