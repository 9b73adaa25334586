def lambda_handler(event, context):
    return {"heard": event["message"], "by": context.function_name}
