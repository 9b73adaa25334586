def lambda_handler(event, context):
    return f"hello {event['name']}"
