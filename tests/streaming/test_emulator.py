"""The runtime that streams, on AWS's own runtime interface emulator, which the SAM CLI contains."""

import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from local_engine.testing import free_port, poll, processes_below
from tests.streaming.runtime_stand_in import FUNCTIONS, LAYER, make_environment


@pytest.mark.needs_linux("runs AWS's runtime interface emulator")
def test_awss_emulator_takes_what_the_runtime_sends(tmp_path: Path) -> None:
    # It buffers a stream and drops its trailers.
    emulator = tmp_path / "emulator"
    shutil.copyfile(
        Path(find_spec("samcli").origin).parent / f"local/rapid/aws-lambda-rie-{platform.machine()}", emulator
    )
    emulator.chmod(0o755)
    port, api_port = free_port(), free_port()
    command = [emulator, "--log-level", "error", "--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    command += ["--runtime-api-address", f"127.0.0.1:{api_port}", LAYER / "stream", sys.executable, "-", "raw.handler"]
    url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    with subprocess.Popen(
        command, cwd=FUNCTIONS, env=make_environment("raw.handler"), start_new_session=True
    ) as process:
        try:
            poll(lambda: is_open(port), "the emulator does not start", 60)
            whole = httpx.post(url, json={"deed": "count"}, timeout=60, trust_env=False)
            late = httpx.post(url, json={"deed": "late"}, timeout=60, trust_env=False)
            early = httpx.post(url, json={"deed": "early"}, timeout=60, trust_env=False)
        finally:
            # The function has its own process group.
            for pid in (*processes_below(process.pid), process.pid):
                os.kill(pid, signal.SIGKILL)
    assert whole.content == b'{"statusCode":203,"headers":{}}' + bytes(8) + b"first\nlast\n"
    assert late.content.endswith(bytes(8) + b"first\n")
    assert early.json()["errorType"] == "LookupError"


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
