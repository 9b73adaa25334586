import naming


def lambda_handler(event, context):
    for record in event["Records"]:
        print("low", naming.label(record["dynamodb"]["Keys"]["device"]["S"]))
