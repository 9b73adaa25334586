def handler(event, context):
    print("notified", event.get("detail", {}).get("status"))
