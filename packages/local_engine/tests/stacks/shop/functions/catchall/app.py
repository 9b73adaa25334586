def lambda_handler(event, context):
    return {"caught": event["pathParameters"]["proxy"], "method": event["requestContext"]["http"]["method"]}
