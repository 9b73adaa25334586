def lambda_handler(event, context):
    return {"authorizer": event["requestContext"].get("authorizer"), "api": event["requestContext"]["apiId"]}
