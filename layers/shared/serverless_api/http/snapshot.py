"""Lambda SnapStart hooks, called before the snapshot and after each restore.

One snapshot becomes many environments, hours later. It must not contain anything that has to be unique to an
environment or that expires. IDs and versions are safe: `secrets` asks the operating system, which SnapStart gives new
randomness.

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


def dry_run() -> None:
    """Dry run of a request, so that the snapshot contains all that a request loads and creates.

    Looks for no credentials and sends nothing.
    """
    value = parse_json(dump_json({"text": "", "object": {}}))
    for model in MODELS.glob("*.json"):
        # Models of responses may use keywords that are not checked.
        with suppress(ModelError):
            list(find_problems(value, load_model(model.stem)))
    Response(200, {"items": []}).to_event()
    table.dry_run()
    table.reset()


def reset() -> None:
    """Make the environment unique: new random numbers, connections and credentials."""
    random.seed()
    table.reset()
    tracing.reset()


register_before_snapshot(dry_run)
register_after_restore(reset)
