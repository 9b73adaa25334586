import json
import os
import random
import signal
import time

WORKER = os.environ["WORKER"]
CHAOS = float(os.environ.get("CHAOS", "0"))


def lambda_handler(event, _context):
    """Does what the records say, and prints what it has seen and done."""
    _print("SEEN", event)
    failed = []
    for record in event["Records"]:
        order = _read_order(record)
        identifier = record.get("messageId") or record["dynamodb"]["SequenceNumber"]
        match order.get("do"):
            case "raise":
                raise ValueError("poison")
            case "answer":
                return order["answer"]
            case "sleep":
                time.sleep(order["seconds"])
            case "fail":
                failed.append({"itemIdentifier": identifier})
                if WORKER == "orders":
                    # The function stops at the first failed record of a stream.
                    break
                continue
        if random.random() < CHAOS / 2:
            _end()
        _print("DONE", order)
        if random.random() < CHAOS / 2:
            _end()
    return {"batchItemFailures": failed}


def _print(word, value):
    # One write, so that lines of several processes do not mix.
    print(f"{word} {WORKER} {json.dumps(value)}")


def _end():
    if random.random() < 0.5:
        os._exit(3)
    os.kill(os.getpid(), signal.SIGKILL)


def _read_order(record):
    if "body" in record:
        try:
            return json.loads(record["body"])
        except ValueError:
            return {"text": record["body"]}
    image = record["dynamodb"].get("NewImage") or {}
    return json.loads(image["order"]["S"]) if "order" in image else {}
