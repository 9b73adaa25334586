"""Takes its time to be imported."""

import time

time.sleep(0.5)


def lambda_handler(event, context):
    return "awake"
