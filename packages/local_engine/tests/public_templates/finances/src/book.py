def handler(event, context):
    claims = event["requestContext"]["authorizer"]["jwt"]["claims"]
    return {"user": claims["sub"], "id": event.get("pathParameters", {}).get("id")}
