"""pytest plugin: fixtures that serve the project's SAM template to its tests.

```python
def test_orders_need_a_token(api, token):
    assert api.get("/orders").status_code == 401
    headers = {"Authorization": f"Bearer {token('read:orders', subject='ann')}"}
    assert api.get("/orders", headers=headers).status_code == 200
```

The engine starts at the first test that uses a fixture, once a session and worker, each on its own ports. A fixture
of the same name in a `conftest.py` replaces one of these; `api`, `token` and `deliveries` ask only for `local_engine`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

    from local_engine.testing import Deliveries, EngineProcess

_RUNNING = pytest.StashKey["tuple[EngineProcess, int]"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings of the engine: as options, and in the configuration file."""
    parser.addini(
        "local_engine_template", "SAM template that the fixtures serve", type="string", default="template.yaml"
    )
    parser.addini("local_engine_parameters", "its parameters, KEY=VALUE, one a line", type="linelist")
    parser.addini("local_engine_seed", "file with items for its tables", type="string", default="")
    parser.addini("local_engine_arguments", "further arguments of `local-engine run`", type="args")
    group = parser.getgroup("local-engine", "a SAM template, served for tests")
    group.addoption("--local-engine-template", metavar="FILE", help="serve this template")
    group.addoption(
        "--local-engine-parameter", metavar="KEY=VALUE", action="append", default=[], help="set one of its parameters"
    )
    group.addoption("--local-engine-seed", metavar="FILE", help="fill the tables with these items")


@pytest.fixture(scope="session")
def local_engine_settings(pytestconfig: pytest.Config) -> dict[str, Any]:
    """Return the arguments of `EngineProcess`, from the options and the configuration file.

    Override it in the top `conftest.py` to compute them; `arguments` are the further arguments of `local-engine run`.
    """
    given = [*pytestconfig.getini("local_engine_parameters"), *pytestconfig.option.local_engine_parameter]
    pairs = [text.partition("=") for text in given]
    if wrong := [text for text, (name, separator, _) in zip(given, pairs, strict=True) if not name or not separator]:
        raise pytest.UsageError(f"The parameter {wrong[0]!r} is not of the form KEY=VALUE.")
    return {
        "template": _find_file(pytestconfig, "template"),
        "parameters": {name.strip(): value.strip() for name, _, value in pairs},
        "seed": _find_file(pytestconfig, "seed"),
        "arguments": tuple(pytestconfig.getini("local_engine_arguments")),
    }


@pytest.fixture(scope="session")
def local_engine(local_engine_settings: dict[str, Any], pytestconfig: pytest.Config) -> Iterator[EngineProcess]:
    """Yield the running engine, a `local_engine.testing.EngineProcess`."""
    try:
        from local_engine.testing import EngineError, EngineProcess  # noqa: PLC0415 - nothing is imported for tests without it
    except ModuleNotFoundError as error:
        raise pytest.UsageError(
            f"{error.name} is missing. Install it with: pip install 'local-engine[testing]'"
        ) from None
    settings = dict(local_engine_settings)
    arguments = settings.pop("arguments", ())
    engine = EngineProcess(settings.pop("template"), *arguments, **settings)
    try:
        engine.start()
    except EngineError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        pytestconfig.stash[_RUNNING] = (engine, 0)
        yield engine
    finally:
        engine.stop()
    del pytestconfig.stash[_RUNNING]


@pytest.fixture(scope="session")
def engine(local_engine: EngineProcess) -> EngineProcess:
    """Return the same as `local_engine`."""
    return local_engine


@pytest.fixture
def api(local_engine: EngineProcess) -> Iterator[httpx.Client]:
    """Yield an HTTP client of the template's first API, with its stage if it has one."""
    with local_engine.client(next(iter(local_engine.urls), None)) as client:
        yield client


@pytest.fixture(scope="session")
def token(local_engine: EngineProcess) -> Callable[..., str]:
    """Return a function that makes tokens which the first API accepts: `token("read:orders", subject="ann")`."""
    return local_engine.mint_token


@pytest.fixture
def deliveries(local_engine: EngineProcess) -> Deliveries:
    """Return the outcomes of events and messages since the test began: `deliveries.wait("Jobs", outcome="ok")`."""
    return local_engine.deliveries()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Show what the engine printed during a test that failed."""
    report = yield
    if running := item.config.stash.get(_RUNNING, None):
        engine, seen = running
        if report.failed:
            report.sections.append(("The local engine", "\n".join(engine.lines[seen:])))
        if report.when == "teardown":
            item.config.stash[_RUNNING] = (engine, len(engine.lines))
    return report


def _find_file(config: pytest.Config, name: str) -> Path | None:
    if option := getattr(config.option, f"local_engine_{name}"):
        return config.invocation_params.dir / str(option)
    written: str = config.getini(f"local_engine_{name}")
    # As pytest reads `testpaths`: from the folder of the configuration file.
    folder = config.inipath.parent if config.inipath else config.rootpath
    return folder / written if written else None
