"""What Lambda SnapStart calls: before it freezes an environment, and after each restore of what was frozen.

One snapshot becomes many environments, hours later: what is to be theirs alone, or is true for a while only, must not
be in it. Ids and versions need nothing: `secrets` asks the operating system, which SnapStart gives new randomness.

Source: «Implement code before or after Lambda function snapshots» and «Handling uniqueness with Lambda SnapStart», AWS
Lambda Developer Guide.
"""

import random
from contextlib import suppress

from snapshot_restore_py import register_after_restore, register_before_snapshot

from serverless_api.http.response import Response
from serverless_api.http.validation import MODELS, ModelError, find_problems, load_model
from serverless_api.storage import table
from serverless_api.storage.json_text import dump_json, parse_json
from serverless_api.telemetry import tracing


def rehearse() -> None:
    """Walk the ways that a request takes, so that what is loaded and made on them is in the snapshot.

    No credentials are looked for, and nothing is sent.
    """
    value = parse_json(dump_json({"name": "", "metadata": {}}))
    for model in MODELS.glob("*.json"):
        # Models of answers alone may say more than can be checked.
        with suppress(ModelError):
            list(find_problems(value, load_model(model.stem)))
    Response(200, {"resources": []}).to_event()
    table.rehearse()
    table.start_over()


def start_over() -> None:
    """Make the environment one of its own: other random numbers, new connections and credentials, no memories."""
    random.seed()
    table.start_over()
    tracing.start_over()


register_before_snapshot(rehearse)
register_after_restore(start_over)
