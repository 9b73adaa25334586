import json
import secrets


def lambda_handler(event, context):
    query = event["queryStringParameters"] or {}
    # Each call has its own number, whichever process takes it.
    number = secrets.randbits(48)
    if "size" in query:
        return {"statusCode": 200, "body": f"{number} ".ljust(int(query["size"]))}
    return {
        "statusCode": int(query.get("status", 200)),
        "body": json.dumps(number),
        "headers": {"X-Number": str(number)},
    }
