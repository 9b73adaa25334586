import os
import sys

TOUCHED = []


def record(event, arguments):
    if event in ("open", "os.listdir", "socket.connect"):
        TOUCHED.append([event, repr(arguments[1] if event == "socket.connect" else arguments[0])])


sys.addaudithook(record)

import boto3  # noqa: E402 - after the hook


def lambda_handler(event, context):
    tables = [boto3.client("dynamodb").list_tables()["TableNames"] for _ in range(2)]
    return {
        "tables": tables[0],
        "region": boto3.Session().region_name,
        "touched": TOUCHED,
        "environment": dict(os.environ),
    }
