import json

import boto3


def handler(event, context):
    body = json.dumps({"inputText": "to be or not to be", "dimensions": 256})
    answer = boto3.client("bedrock-runtime").invoke_model(modelId="amazon.titan-embed-text-v2:0", body=body)
    return {"statusCode": 200, "body": json.dumps({"dimensions": len(json.loads(answer["body"].read())["embedding"])})}
