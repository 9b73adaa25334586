"""The engine for tests in Python: starts and stops it, calls its APIs, functions and AWS services. Needs httpx.

```python
from local_engine.testing import EngineProcess

with EngineProcess("template.yaml", parameters={"Stage": "dev", "Issuer": "{issuer}"}) as engine:
    token = engine.mint_token("read:orders", subject="ann")
    with engine.client() as api:
        assert api.get("/orders", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert engine.invoke("CountOrders", {"user": "ann"}) == {"count": 0}
```

With pytest, use the fixtures of `local_engine.pytest_plugin`.
"""

from local_engine.child_environment import child_environment
from local_engine.testing.deliveries import Deliveries, Delivery
from local_engine.testing.engine_process import EngineError, EngineProcess, InvocationError, engine_command, run_engine
from local_engine.testing.machine import free_port, is_running, poll, processes_below, serve

__all__ = [
    "Deliveries",
    "Delivery",
    "EngineError",
    "EngineProcess",
    "InvocationError",
    "child_environment",
    "engine_command",
    "free_port",
    "is_running",
    "poll",
    "processes_below",
    "run_engine",
    "serve",
]
