"""Name resolution that ends in time.

`socket.getaddrinfo` is a call into C without a timeout, and no signal ends it: a name server that never answers would
hold a request for half a minute. Here a thread waits for it, and the request waits for the thread as long as it can.
"""

import socket
import threading
import time
from typing import NamedTuple

KEEP_SECONDS = 300
"""How long the addresses of a name may be used while its name server does not answer."""


class _Answer(NamedTuple):
    addresses: list[str]
    arrived: float


_last_answers: dict[str, _Answer] = {}


def resolve(host: str, seconds: float) -> list[str]:
    """Return the addresses of a host, in the order in which to try them.

    If the name server does not answer within half of the time, the last answer is used, unless it is too old.

    Args:
        host: a name or an address; an address is returned without a lookup.
        seconds: how long to wait for the name server.

    Raises:
        TimeoutError: the name server did not answer in time.
        OSError: the name does not resolve.
    """
    try:
        return _look_up(host, socket.AI_NUMERICHOST)
    except OSError:
        pass  # a name
    last = _last_answers.get(host)
    # Wall-clock time: other clocks may stand still while the environment is frozen.
    if last and not 0 <= time.time() - last.arrived < KEEP_SECONDS:
        last = None
    failures: list[OSError] = []

    def look_up() -> None:
        try:
            _last_answers[host] = _Answer(_look_up(host), time.time())
        except OSError as error:
            failures.append(error)

    # A daemon, because nothing can end it early; the resolver itself gives up after some seconds.
    lookup = threading.Thread(target=look_up, name=f"lookup of {host}", daemon=True)
    lookup.start()
    lookup.join(seconds / 2 if last else seconds)
    if failures and (last is None or getattr(failures[0], "errno", None) == socket.EAI_NONAME):
        raise failures[0]
    answer = last if failures or lookup.is_alive() else _last_answers[host]
    if answer is None:
        raise TimeoutError(f"The name server did not answer within {seconds:.1f} s.")
    return answer.addresses


def _look_up(host: str, flags: int = 0) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    return [str(address[0]) for *_, address in found]
