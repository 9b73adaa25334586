def handler(event, context):
    print("command", event["command"])
