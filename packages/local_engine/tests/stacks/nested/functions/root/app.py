import os


def handler(event, context):
    return {name: os.environ[name] for name in ("SIGNER", "INNER_QUEUE", "EXTRA", "AUDIENCE", "STORE")}
