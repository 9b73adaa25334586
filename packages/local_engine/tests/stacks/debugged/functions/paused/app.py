import os
import time


def handler(event, context):
    seconds = float(event.get("queryStringParameters", {}).get("seconds", 0))
    # As long as a breakpoint would hold the function.
    time.sleep(seconds)
    return {"pid": os.getpid(), "remaining": context.get_remaining_time_in_millis()}
