import json
import os


def publish(event, context):
    print("publishing", [record["dynamodb"]["Keys"]["id"]["S"] for record in event["Records"]])


def index(event, context):
    caller = event["requestContext"]["identity"]["userArn"].rpartition("/")[0]
    return {"statusCode": 200, "body": json.dumps({"caller": caller, "bucket": os.environ["BUCKET"]})}
