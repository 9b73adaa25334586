import os

from signature import SIGNATURE


def handler(event, context):
    names = ("TABLE", "HELPER", "WORDS", "STACK")
    return {"signature": SIGNATURE, "arn": context.invoked_function_arn, **{name: os.environ[name] for name in names}}
