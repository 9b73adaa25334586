import json
import os

import boto3


def lambda_handler(event, context):
    return {"statusCode": 200, "body": json.dumps(event["pathParameters"])}


def process(event, context):
    print("processing", event["Records"][0]["s3"]["object"]["key"])


def remind(event, context):
    print("reminded", bool(boto3.client("sns").publish(TopicArn=os.environ["TOPIC"], Message="now")["MessageId"]))
