import os


def lambda_handler(event, context):
    return os.environ["url"]  # noqa: SIM112
