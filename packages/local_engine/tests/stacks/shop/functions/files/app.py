import base64


def lambda_handler(event, context):
    content = base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"].encode()
    return {
        "statusCode": 201,
        "headers": {
            "content-type": "application/octet-stream",
            "x-path": event["pathParameters"]["path"],
            "x-base64": event["isBase64Encoded"],
        },
        "isBase64Encoded": True,
        "body": base64.b64encode(content).decode(),
    }
