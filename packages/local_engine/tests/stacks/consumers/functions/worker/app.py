import json
import os
import random
import signal
import time


def lambda_handler(event, context):
    """Does what the records say, and prints what it has seen."""
    print("SEEN", os.environ["WORKER"], json.dumps(event))
    failed = []
    for record in event["Records"]:
        order = _read_order(record)
        identifier = record.get("messageId") or record["dynamodb"]["SequenceNumber"]
        match order.get("do"):
            case "raise":
                raise ValueError("poison")
            case "answer":
                return order["answer"]
            case "fail":
                failed.append({"itemIdentifier": identifier})
            case "sleep":
                time.sleep(order["seconds"])
        if os.environ.get("CHAOS") and random.random() < 0.05:
            # Before or after the record is done.
            if random.random() < 0.5:
                print("DONE", os.environ["WORKER"], json.dumps(order))
            if random.random() < 0.5:
                os._exit(3)
            os.kill(os.getpid(), signal.SIGKILL)
        if order.get("do") != "fail":
            print("DONE", os.environ["WORKER"], json.dumps(order))
    return {"batchItemFailures": failed}


def _read_order(record):
    if "body" in record:
        try:
            return json.loads(record["body"])
        except ValueError:
            return {"text": record["body"]}
    image = record["dynamodb"].get("NewImage") or record["dynamodb"].get("OldImage") or {}
    return json.loads(image["order"]["S"]) if "order" in image else {}
