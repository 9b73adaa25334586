import os

import tasks


def lambda_handler(event, context):
    return {**tasks.describe(os.environ["REGION"]), **event}
