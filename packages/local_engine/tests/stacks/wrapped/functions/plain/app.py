import os
import sys
import time

import boto3
from chunks import PARTS


def lambda_handler(event, context):
    deed = event["pathParameters"]["deed"]
    if deed == "raise":
        raise LookupError("the deed")
    if deed == "exit":
        os._exit(3)
    return {
        "greeting": os.environ["GREETING"],
        "is_dev": sys.flags.dev_mode,
        "parts": PARTS,
        "boto3": bool(boto3.__version__),
        "engine": [name for name in sys.modules if name.startswith(("local_engine", "uvicorn"))],
        "pid": os.getpid(),
        "arn": context.invoked_function_arn,
        "remaining": context.get_remaining_time_in_millis(),
        "trace": os.environ["_X_AMZN_TRACE_ID"],
        "now": time.time(),
    }
