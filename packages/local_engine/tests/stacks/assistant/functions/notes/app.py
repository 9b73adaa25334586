import hashlib
import json
import os

import boto3

TABLE = os.environ["TABLE"]
dynamodb = boto3.client("dynamodb")
bedrock = boto3.client("bedrock-runtime")


def lambda_handler(event, context):
    if event["routeKey"] == "POST /notes":
        text = event["body"]
        key = hashlib.sha256(text.encode()).hexdigest()
        item = {"owner": {"S": "ann"}, "id": {"S": key}, "text": {"S": text}, "embedding": {"L": embed(text)}}
        dynamodb.put_item(TableName=TABLE, Item=item)
        return {"statusCode": 201}
    question = event["queryStringParameters"]["question"]
    found = dynamodb.search_vectors(
        TableName=TABLE,
        IndexName="by-meaning",
        SearchVector=embed(question),
        TopK=2,
        SearchConditionExpression="#owner = :owner",
        ExpressionAttributeNames={"#owner": "owner"},
        ExpressionAttributeValues={":owner": {"S": "ann"}},
    )["SearchResults"]
    sources = [result["Item"]["text"]["S"] for result in found]
    prompt = "\n".join(f"[{number}] {text}" for number, text in enumerate(sources, 1))
    stream = bedrock.converse_stream(
        modelId="anthropic.claude-3-5-haiku-20241022-v1:0",
        messages=[{"role": "user", "content": [{"text": f"{prompt}\n\n{question}"}]}],
    )["stream"]
    words = [event["contentBlockDelta"]["delta"]["text"] for event in stream if "contentBlockDelta" in event]
    return {"sources": sources, "answer": "".join(words), "words": len(words)}


def embed(text):
    body = json.dumps({"inputText": text, "dimensions": 256})
    answer = bedrock.invoke_model(modelId="amazon.titan-embed-text-v2:0", body=body)
    return [{"N": repr(value)} for value in json.loads(answer["body"].read())["embedding"]]
