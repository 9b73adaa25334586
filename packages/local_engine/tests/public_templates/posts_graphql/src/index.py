def handler(event, context):
    return [{"id": 1, "asked": event["field"]}]
