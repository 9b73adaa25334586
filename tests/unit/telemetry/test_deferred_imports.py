"""What Powertools imports at once, and a function only on first use."""

import json
import os
import subprocess
import sys

from tests.support.gateway import ENVIRONMENT

PROGRAM = """
import json, sys
from types import SimpleNamespace
from serverless_api import logger

before = "jmespath" in sys.modules
context = SimpleNamespace(
    function_name="f", memory_limit_in_mb=1769, invoked_function_arn="arn", aws_request_id="r", log_stream_name="s"
)
handler = logger.inject_lambda_context(lambda event, context: None, correlation_id_path="request.id")
handler({"request": {"id": "the-id"}}, context)
print(json.dumps([before, logger.get_correlation_id(), "jmespath" in sys.modules]))
"""


def test_jmespath_is_loaded_for_the_function_that_uses_it() -> None:
    environment = {**os.environ, **ENVIRONMENT}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == [False, "the-id", True]
