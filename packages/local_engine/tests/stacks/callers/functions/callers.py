"""Calls an AWS service as the request says, with boto3 as Lambda has it."""

import json
import os

import boto3
from botocore.config import Config


def call_service(event, context):
    return {"statusCode": 200, "body": json.dumps(_CALLS[event["pathParameters"]["name"]](json.loads(event["body"])))}


def _create_schedule(request):
    arn = os.environ["REMINDERS"] if request.pop("to") == "queue" else os.environ["REMINDED"]
    target = {"Arn": arn, "RoleArn": os.environ["SCHEDULER_ROLE"], "Input": json.dumps({"about": request["Name"]})}
    schedules = boto3.client("scheduler")
    return schedules.create_schedule(FlexibleTimeWindow={"Mode": "OFF"}, Target=target, **request)["ScheduleArn"]


def _put_events(request):
    entries = [
        {"EventBusName": os.environ["BUS"], "Source": "shop", "DetailType": kind, "Detail": json.dumps({"id": index})}
        for index, kind in enumerate(request)
    ]
    return boto3.client("events").put_events(Entries=entries)["FailedEntryCount"]


def _presign_put(request):
    parameters = {"Bucket": os.environ["UPLOADS"], "Key": request}
    return boto3.client("s3").generate_presigned_url("put_object", Params=parameters, ExpiresIn=300)


def _presign_put_with_headers(request):
    client = boto3.client("s3", config=Config(signature_version="s3v4"))
    parameters = {"Bucket": os.environ["UPLOADS"], "Key": request, "Metadata": {"owner": "ann"}, "IfNoneMatch": "*"}
    return client.generate_presigned_url("put_object", Params=parameters, ExpiresIn=300)


def _presign_post(request):
    limits = [["content-length-range", 1, 100]]
    return boto3.client("s3").generate_presigned_post(os.environ["UPLOADS"], request, Conditions=limits, ExpiresIn=300)


_CALLS = {
    "schedule": _create_schedule,
    "events": _put_events,
    "put": _presign_put,
    "put_with_headers": _presign_put_with_headers,
    "post": _presign_post,
}
