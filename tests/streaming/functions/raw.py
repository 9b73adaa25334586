"""A handler for the runtime alone, which does what its event says."""

import os
import sys

HEAD = b'{"statusCode":203,"headers":{}}' + bytes(8)


def handler(event, context):
    match event["deed"]:
        case "describe":
            left = context.get_remaining_time_in_millis()
            names = (context.aws_request_id, context.invoked_function_arn, context.function_name)
            yield HEAD
            yield repr((os.environ["_X_AMZN_TRACE_ID"], 0 < left <= 60_000, *names)).encode()
        case "count":
            yield HEAD + b"first\n"
            yield b""
            yield b"last\n"
        case "nothing":
            return
        case "early":
            raise LookupError("before the first byte")
        case "late":
            yield HEAD + b"first\n"
            raise LookupError("within the response: \u00e9\n" + "x" * 100_000)
        case "text":
            yield "text"
        case "exit":
            yield HEAD
            sys.stdout.flush()
            os._exit(3)


def wrong(event, context):
    return 7


def broken():
    raise NameError("not reached")


if os.environ.get("FAILS_AT_IMPORT"):
    broken()
