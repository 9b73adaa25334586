import json

import naming


def lambda_handler(event, context):
    answer = {"of": naming.label(event["pathParameters"]["bracelet_id"]), "query": event["queryStringParameters"]}
    return {"statusCode": 200, "body": json.dumps(answer)}
