import time
from pathlib import Path


def lambda_handler(event, context):
    folder = Path(event["queryStringParameters"]["folder"])
    (folder / "started").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    (folder / "finished").touch()
