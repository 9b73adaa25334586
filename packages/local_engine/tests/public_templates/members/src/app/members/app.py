import json

import store


def list_members(event, context):
    return {"statusCode": 200, "body": json.dumps(store.TABLE.scan()["Items"])}


def add_member(event, context):
    store.TABLE.put_item(Item=json.loads(event["body"]))
    return {"statusCode": 201, "body": ""}
