def handler(event, context):
    return {"version": context.function_version, "arn": context.invoked_function_arn}
