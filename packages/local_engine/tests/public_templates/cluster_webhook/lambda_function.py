import json


def handler(event, context):
    review = json.loads(event["body"])
    return {"response": {"uid": review["request"]["uid"], "allowed": True}}
