import json
import os

import boto3


def create(event, context):
    entry = {
        "Source": "parcels.api",
        "DetailType": "ParcelCreated",
        "Detail": event["body"],
        "EventBusName": os.environ["BUS"],
    }
    boto3.client("events").put_events(Entries=[entry])
    return {"statusCode": 202, "body": json.dumps({"table": os.environ["TABLE"]})}


def audit(event, context):
    tables = boto3.client("dynamodb")
    for record in event["Records"]:
        item = {"pk": {"S": json.loads(record["body"])["detail-type"]}, "sk": {"S": record["messageId"]}}
        tables.put_item(TableName=os.environ["AUDIT"], Item=item)
    print("audited", len(event["Records"]))
    return {"batchItemFailures": []}
