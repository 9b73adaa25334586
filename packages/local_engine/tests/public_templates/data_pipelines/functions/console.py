import os

from pipelines import STATES


def handler(event, context):
    shown = {name: os.environ[name] for name in ("RUNS", "NOTIFY", "FLOW")}
    return {**shown, "path": event["rawPath"], "states": STATES, "has_pool": bool(os.environ["POOL"])}
