def handler(event, context):
    if "requestContext" in event:
        return {"user": event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"], "orders": []}
    if event.get("fail"):
        raise ValueError(event["fail"])
    return {"records": len(event.get("Records", ()))}


def report(event, context):
    return {"statusCode": 200, "body": event["body"]}
