"""A function under SnapStart, as awslambdaric runs it: frozen once, restored twice.

Prints a JSON document: what memory held when it was frozen, and what each restored environment did.
"""

import contextlib
import gc
import io
import json
import os
import random
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "layers" / "shared"), str(ROOT)]

from awslambdaric.lambda_runtime_hooks_runner import run_after_restore, run_before_snapshot  # noqa: E402

from functions.create_resource import app as create  # noqa: E402
from functions.list_resources import app as list_  # noqa: E402
from serverless_api.storage import table  # noqa: E402
from tests.support.gateway import Context  # noqa: E402

# Split, so that the search does not find its own pattern.
CANARY = re.compile(b"c4nary" + rb"-of-[a-z-]+")

# A busy machine must not make a second attempt, on a second connection, of a request.
table.ATTEMPT_SECONDS = Context().get_remaining_time_in_millis() / 1000


def main() -> None:
    run_before_snapshot()
    frozen = {
        "canaries": find_canaries(),
        "sockets": count_sockets(),
    }
    state = random.getstate()
    restored = [restore(state) for _ in range(2)]
    print(json.dumps({"frozen": frozen, "restored": restored}))


def find_canaries() -> list[str]:
    """Every canary in this process's writable memory, including freed objects that nothing has overwritten."""
    gc.collect()
    found = set()
    with Path("/proc/self/mem").open("rb", buffering=0) as memory:
        for line in Path("/proc/self/maps").read_text(encoding="ascii").splitlines():
            bounds, mode = line.split()[:2]
            if "rw" not in mode or line.endswith(("[vvar]", "[vsyscall]")):
                continue
            start, end = (int(bound, 16) for bound in bounds.split("-"))
            memory.seek(start)
            with contextlib.suppress(OSError):
                found |= set(CANARY.findall(memory.read(end - start)))
    return sorted(canary.decode() for canary in found)


def count_sockets() -> int:
    targets = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            targets.append(str(entry.readlink()))
    return sum(target.startswith("socket:") for target in targets)


def restore(state: Any) -> dict[str, Any]:
    """Continue in a new process, as a restored environment does, and return its report."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            report = act(state)
        except BaseException as error:
            report = {"error": repr(error)}
        with open(writing, "w", encoding="utf-8") as pipe:  # noqa: PTH123
            json.dump(report, pipe)
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:  # noqa: PTH123
        report = json.load(pipe)
    os.waitpid(child, 0)
    return report


def act(state: Any) -> dict[str, Any]:
    modules = set(sys.modules)
    # Python reseeds a fork, but nothing reseeds a restored environment.
    random.setstate(state)
    run_after_restore()
    with contextlib.redirect_stdout(io.StringIO()):
        pages = list_.handler(read_event("list_resources"), Context())
        created = create.handler(read_event("create_resource"), Context())
    return {
        "statuses": [pages["statusCode"], created["statusCode"]],
        "id": json.loads(created["body"])["id"],
        "version": created["headers"]["ETag"],
        "waits": [table._policy.backoff(retry) for retry in range(4)],
        "imported": sorted(set(sys.modules) - modules),
        "canaries": find_canaries(),
    }


def read_event(name: str) -> dict[str, Any]:
    event = json.loads((ROOT / "events" / f"{name}.json").read_text(encoding="utf-8"))
    # Each create is separate.
    event["headers"].pop("idempotency-key", None)
    return event


if __name__ == "__main__":
    main()
