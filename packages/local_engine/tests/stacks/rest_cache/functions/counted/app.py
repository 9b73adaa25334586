import itertools
import json

calls = itertools.count(1)


def lambda_handler(event, context):
    query = event["queryStringParameters"] or {}
    number = next(calls)
    if "size" in query:
        return {"statusCode": 200, "body": f"{number} ".ljust(int(query["size"]))}
    return {
        "statusCode": int(query.get("status", 200)),
        "body": json.dumps(number),
        "headers": {"X-Number": str(number)},
    }
