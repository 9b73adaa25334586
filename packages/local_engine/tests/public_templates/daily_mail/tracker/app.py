import os

import boto3


def lambda_handler(event, context):
    client = boto3.client("ses", region_name="us-east-1")
    client.verify_email_identity(EmailAddress=os.environ["SENDER"])
    message = {"Subject": {"Data": "today"}, "Body": {"Text": {"Data": event["time"]}}}
    to = {"ToAddresses": [os.environ["RECIPIENT"]]}
    sent = client.send_email(Source=os.environ["SENDER"], Destination=to, Message=message)
    print("sent", bool(sent["MessageId"]))
