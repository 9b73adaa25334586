"""Inputs for AWS Lambda Power Tuning, which measures deployed functions in an AWS account.

Source: "README-EXECUTE" and "README-INPUT-OUTPUT" of https://github.com/alexcasalboni/aws-lambda-power-tuning.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.benchmarks.machine import ROOT

INPUTS = ROOT / ".bench/power_tuning"
EVENTS = ROOT / "events"


def list_fixtures() -> list[Path]:
    """Return the event fixtures of routes."""
    return [
        path for path in sorted(EVENTS.glob("*.json")) if "routeKey" in json.loads(path.read_text(encoding="utf-8"))
    ]


def make_input(arn: str, fixture: Path, sizes: Sequence[int]) -> dict[str, Any]:
    """Return the state machine's input for one function.

    Args:
        arn: ARN of the function without an alias; the state machine creates its own aliases.
        fixture: the function's event fixture.
        sizes: memory sizes in MB.
    """
    payload = json.loads(fixture.read_text(encoding="utf-8"))
    # With the same key, every creation after the first would be a replay.
    payload["headers"].pop("idempotency-key", None)
    return {
        "lambdaARN": arn,
        "powerValues": list(sizes),
        "num": 100,
        "payload": payload,
        # In parallel, each invocation would have its own environment and a cold start.
        "parallelInvocation": False,
        "strategy": "balanced",
        "balancedWeight": 0.5,
        "discardTopBottom": 0.05,
    }


def write_inputs(arn_prefix: str, sizes: Sequence[int]) -> None:
    """Write the inputs of all routes' functions.

    Args:
        arn_prefix: what precedes a function's logical ID in its ARN.
        sizes: memory sizes in MB.
    """
    INPUTS.mkdir(parents=True, exist_ok=True)
    for fixture in list_fixtures():
        logical_id = fixture.stem.title().replace("_", "")
        content = make_input(f"{arn_prefix}{logical_id}", fixture, sizes)
        (INPUTS / fixture.name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
