import itertools
import json

calls = itertools.count(1)


def lambda_handler(event, context):
    """Decide by the token: its first word says how."""
    headers = {name.lower(): value for name, value in event.get("headers", {}).items()}
    token = event.get("authorizationToken") or headers.get("authorization", "")
    verb = token.partition(",")[0].partition("-")[0]
    arn = event.get("methodArn") or event.get("routeArn")
    values = {"text": "a", "number": 1, "flag": True, "calls": next(calls), "event": json.dumps(event)}
    match verb:
        case "allow" | "deny":
            answer = answer_with(verb.title(), arn, values)
        case "everything":
            answer = answer_with("Allow", arn.partition("/")[0] + "/*", values)
        case "reads":
            answer = answer_with("Allow", arn.partition("/")[0] + "/*/GET/*", values)
        case "nothing":
            answer = answer_with("Allow", arn + "/other", values)
        case "nested":
            answer = answer_with("Allow", arn, {"list": [1, 2]})
        case "yes" | "no":
            return {"isAuthorized": verb == "yes", "context": values}
        case "list":
            return [1]
        case "unauthorized":
            raise Exception("Unauthorized")
        case _:
            raise ValueError("not known")
    return answer


def answer_with(effect, resource, values):
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": "ann", "policyDocument": policy, "context": values, "usageIdentifierKey": "x"}
