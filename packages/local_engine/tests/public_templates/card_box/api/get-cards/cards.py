import os


def get(event, context):
    return {"statusCode": 200, "body": os.environ["CARDS_ARN"].rpartition("/")[2]}
