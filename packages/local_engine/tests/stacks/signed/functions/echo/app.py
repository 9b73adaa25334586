import urllib.error
import urllib.request

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.session import Session


def lambda_handler(event, context):
    """Return what the event says of the caller, or call the API again with the function's own role."""
    target = (event.get("queryStringParameters") or {}).get("call")
    if target is None:
        authorizer = event["requestContext"].get("authorizer")
        return {"authorizer": authorizer, "path": event["rawPath"], "body": event.get("body")}
    url = f"http://{event['requestContext']['domainName']}{target}"
    request = AWSRequest("GET", url)
    SigV4Auth(Session().get_credentials(), "execute-api", "us-east-1").add_auth(request)
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=dict(request.headers))) as response:
            return {"statusCode": response.status, "body": response.read().decode()}
    except urllib.error.HTTPError as error:
        return {"statusCode": error.code, "body": error.read().decode()}
