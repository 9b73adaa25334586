import base64


def handler(event, context):
    scheme, _, given = event["headers"]["Authorization"].partition(" ")
    user, _, password = base64.b64decode(given).decode().partition(":")
    if scheme != "Basic" or password != "sesame":
        raise Exception("Unauthorized")
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": event["methodArn"]}
    return {"principalId": user, "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
