import os


def lambda_handler(event, context):
    deed = event["rawPath"].removeprefix("/")
    if deed == "raise":
        raise LookupError("the deed")
    if deed == "address":
        return {"url": os.environ["STREAM_URL"], "host": os.environ["STREAM_HOST"]}
    if deed == "response":
        return {
            "statusCode": 201,
            "headers": {"X-One": "1", "Access-Control-Allow-Origin": "*"},
            "cookies": ["a=1", "b=2"],
            "body": "made",
        }
    return {"event": event, "arn": context.invoked_function_arn, "id": context.aws_request_id}
