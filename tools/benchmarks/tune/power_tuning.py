"""The input of AWS Lambda Power Tuning, which measures the deployed functions in an AWS account.

Source: «README-EXECUTE» and «README-INPUT-OUTPUT» of https://github.com/alexcasalboni/aws-lambda-power-tuning.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.benchmarks.machine import ROOT

INPUTS = Path(__file__).parent / "power_tuning"
FUNCTIONS = {
    "ListResources": "list_resources",
    "CreateResource": "create_resource",
    "GetResource": "get_resource",
    "UpdateResource": "update_resource",
    "DeleteResource": "delete_resource",
}


def make_input(arn: str, event: str, sizes: Sequence[int]) -> dict[str, Any]:
    """Return the input of the state machine for one function.

    Args:
        arn: of the function, without an alias: the state machine makes aliases of its own.
        event: the name of its fixture in `events/`.
        sizes: memory sizes, MB.
    """
    payload = json.loads((ROOT / "events" / f"{event}.json").read_text(encoding="utf-8"))
    # Under one key, all creations but the first would be replays.
    payload["headers"].pop("idempotency-key", None)
    return {
        "lambdaARN": arn,
        "powerValues": list(sizes),
        "num": 100,
        "payload": payload,
        # One after the other, or each invocation would have an environment of its own, and a cold start.
        "parallelInvocation": False,
        "strategy": "balanced",
        "balancedWeight": 0.5,
        "discardTopBottom": 0.05,
    }


def write_inputs(arn_prefix: str, sizes: Sequence[int]) -> None:
    """Write the inputs of all functions.

    Args:
        arn_prefix: what stands before a function's logical id.
        sizes: memory sizes, MB.
    """
    INPUTS.mkdir(exist_ok=True)
    for name, event in FUNCTIONS.items():
        content = make_input(f"{arn_prefix}{name}", event, sizes)
        (INPUTS / f"{event}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
