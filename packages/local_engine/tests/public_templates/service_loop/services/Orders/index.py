def handler(event, context):
    return {"color": event["stageVariables"]["color"]}
