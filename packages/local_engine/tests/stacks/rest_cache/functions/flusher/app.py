import boto3


def lambda_handler(event, context):
    stage = event["requestContext"]
    boto3.client("apigateway").flush_stage_cache(restApiId=stage["apiId"], stageName=stage["stage"])
    return {"statusCode": 204}
