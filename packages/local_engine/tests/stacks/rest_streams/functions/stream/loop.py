"""A runtime that speaks the Runtime API with nothing but sockets, and streams what the handler yields."""

import base64
import http.client
import importlib
import json
import os

HOST = os.environ["AWS_LAMBDA_RUNTIME_API"]
ROOT = "/2018-06-01/runtime"


def main() -> None:
    module, _, name = os.environ["_HANDLER"].rpartition(".")
    connection = http.client.HTTPConnection(HOST)
    try:
        handler = getattr(importlib.import_module(module), name)
    except Exception as error:
        body = json.dumps({"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": []})
        connection.request("POST", f"{ROOT}/init/error", body)
        connection.getresponse().read()
        raise SystemExit(1) from error
    while True:
        connection.request("GET", f"{ROOT}/invocation/next")
        response = connection.getresponse()
        event = json.loads(response.read())
        answer(connection, f"{ROOT}/invocation/{response.headers['Lambda-Runtime-Aws-Request-Id']}", handler, event)


def answer(connection, path, handler, event) -> None:
    connection.putrequest("POST", f"{path}/response")
    for name, value in (
        ("Content-Type", "application/vnd.awslambda.http-integration-response"),
        ("Lambda-Runtime-Function-Response-Mode", "streaming"),
        ("Transfer-Encoding", "chunked"),
        ("Trailer", "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"),
    ):
        connection.putheader(name, value)
    connection.endheaders()
    trailers = ""
    try:
        for chunk in handler(event):
            connection.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
    except Exception as error:
        body = json.dumps({"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": ["  line\n"]})
        trailers = f"Lambda-Runtime-Function-Error-Type: {type(error).__name__}\r\n"
        trailers += f"Lambda-Runtime-Function-Error-Body: {base64.b64encode(body.encode()).decode()}\r\n"
    connection.send(f"0\r\n{trailers}\r\n".encode())
    connection.getresponse().read()


if __name__ == "__main__":
    main()
