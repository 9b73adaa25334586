import os

import boto3

TABLE = boto3.resource("dynamodb").Table(os.environ["TABLE"])
