import os


def handler(event, context):
    return {"all": os.environ["ALL"], "who": event["requestContext"]["authorizer"]["lambda"]["who"]}
