def handler(event, context):
    return {"ApiKey": "made"}
