def index(event, context):
    keys = [record["s3"]["object"]["key"] for record in event["Records"]]
    print("uploaded", keys)
    return {"keys": keys}
