"""Templates like those of public repositories: what is served, and what is refused with which sentence.

Each folder of `public_templates` has a template with its own code, and `expected.toml`: what the template is like, what
the engine prints about parts that it does not run, and steps to take. `docs/templates.md` is the table of them all.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import aws_client

from local_engine.access.user_pools import read_user_pools
from local_engine.command_line.exit_status import ExitStatus
from local_engine.issuer import load_signing_key
from local_engine.issuer.api_tokens import mint_pool_token
from local_engine.services import Services
from local_engine.template import load_template
from local_engine.testing import EngineProcess, free_port, run_engine

TEMPLATES = Path(__file__).parent / "public_templates"
TABLE = Path(__file__).parents[1] / "docs" / "templates.md"
HEAD = """# Templates like public ones

{count} templates with their own names and code, each built like the template of a public repository. A test starts the
engine on each, compares the sentences about what is not run, and takes the steps in its `expected.toml`. Make this page
from those files with `python tests/test_public_templates.py`.

| template | what it is like | resembles the template of | served | refused |
|---|---|---|---|---|
"""
NAMES = sorted(path.parent.name for path in TEMPLATES.glob("*/expected.toml"))


def read(name: str) -> dict[str, Any]:
    return tomllib.loads((TEMPLATES / name / "expected.toml").read_text())


def list_served(expected: Mapping[str, Any]) -> list[str]:
    """What the steps show to be served."""
    served = []
    for step in expected.get("steps", ()):
        if step.get("status", 200) < 500 and "request" in step:
            served.append(step["request"])
        elif "invoke" in step:
            served.append(f"invocation of {step['invoke'].removeprefix('local-')}")
        elif "call" in step and "line" in step:
            service, operation = step["call"].split(".")
            served.append(f"event of {service}:{operation}")
        elif "turn" in step:
            served.append("schedule")
    return list(dict.fromkeys(served))


def describe_table() -> str:
    """The page with a row for each template."""
    rows = []
    for name in NAMES:
        expected = read(name)
        link = f"[{name}](../tests/public_templates/{name}/{expected.get('template', 'template.yaml')})"
        refused = [*expected.get("stops", ()), *expected.get("refused", ())]
        shown = [f"`{text}`" for text in list_served(expected)], [text.replace("|", "\\|") for text in refused]
        features = f"{expected['kind']} ({', '.join(expected['features'])})"
        served, sentences = "<br>".join(shown[0]) or "nothing", "<br>".join(shown[1]) or "nothing"
        rows.append(f"| {link} | {features} | {expected['resembles']} | {served} | {sentences} |")
    return HEAD.format(count=len(NAMES)) + "\n".join(rows) + "\n"


def refused_lines(output: list[str]) -> list[str]:
    """The lines about parts that are not served: of routes, and those before the end of the start."""
    routes = [line.strip().partition(" not served: ")[2] for line in output if " not served: " in line]
    start = next(number for number, line in enumerate(output) if line.startswith("Lambda  "))
    end = next(number for number, line in enumerate(output) if line.startswith("Ready"))
    return list(dict.fromkeys([*filter(None, output[start + 1 : end]), *routes]))


class Trial:
    """Takes the steps of a template's expectations against its engine."""

    def __init__(self, engine: EngineProcess, template: Path) -> None:
        self.engine = engine
        self.template = template
        self.bases = dict(line.split(" is served at ") for line in engine.lines if " is served at " in line)

    def take(self, step: Mapping[str, Any]) -> None:
        for kind in ("request", "invoke", "call", "queue", "turn"):
            if kind in step:
                getattr(self, kind)(step[kind], step)
        if "line" in step:
            self.engine.wait_for_line(step["line"])

    def request(self, request: str, step: Mapping[str, Any]) -> None:
        method, path = request.split()
        base = next(iter(self.bases.values())) if "api" not in step else self.bases[step["api"]]
        headers = dict(step.get("headers_sent", {}))
        if "client" in step:
            headers["Authorization"] = f"Bearer {self.mint(step['client'])}"
        content = json.dumps(step["body"]) if "body" in step else step.get("text", "")
        auth = self.engine.sign_as(step["role"]) if "role" in step else None
        with httpx.Client(auth=auth, timeout=60, trust_env=False) as client:
            answer = client.request(method, base + path, headers=headers, content=content)
        assert answer.status_code == step["status"], answer.text
        check(answer.text, step)
        for name, value in step.get("headers", {}).items():
            assert answer.headers.get(name) == value

    def mint(self, client: str) -> str:
        """An ID token of a client of the template's own user pool."""
        stack = load_template(self.template, {})
        (pool,) = (pool for pool in read_user_pools(stack) if client in [entry.logical_id for entry in pool.clients])
        (found,) = (entry for entry in pool.clients if entry.logical_id == client)
        return mint_pool_token(load_signing_key(stack.project), pool.issuer, found.id, "ann", (), uses_id=True)

    def invoke(self, function: str, step: Mapping[str, Any]) -> None:
        functions = aws_client("lambda", f"{self.engine.url}/_local/lambda")
        answer = functions.invoke(FunctionName=function, Payload=json.dumps(step.get("body", {})))
        text = answer["Payload"].read().decode()
        assert "FunctionError" not in answer, text
        check(text, step)

    def call(self, call: str, step: Mapping[str, Any]) -> None:
        service, operation = call.split(".")
        getattr(aws_client(service, self.engine.services), operation)(**step["arguments"])

    def queue(self, name: str, step: Mapping[str, Any]) -> None:
        queues = aws_client("sqs", self.engine.services)
        url = queues.get_queue_url(QueueName=name)["QueueUrl"]
        answer = queues.receive_message(QueueUrl=url, WaitTimeSeconds=20)
        check(answer["Messages"][0]["Body"], step)

    def turn(self, seconds: int, _: Mapping[str, Any]) -> None:
        self.engine.turn_clock(seconds)


def check(text: str, step: Mapping[str, Any]) -> None:
    if "json" in step:
        assert json.loads(text) == plain(step["json"])
    assert step.get("contains", "") in text


def plain(value: Any) -> Any:
    """A value of TOML, which has no null, with null for "none"."""
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return None if value == "none" else value


@pytest.fixture
def empty_services(services: Services) -> Services:
    """The AWS services without what an earlier template has made; starting them takes longer than the engine."""
    httpx.post(f"{services.endpoint}/moto-api/reset", timeout=60, trust_env=False).raise_for_status()
    return services


@pytest.mark.parametrize("name", NAMES)
def test_template(name: str, empty_services: Services) -> None:
    expected = read(name)
    template = TEMPLATES / name / expected.get("template", "template.yaml")
    parameters = [f"{key}={value}" for key, value in expected.get("parameters", {}).items()]
    arguments = ("--parameters", *parameters) if parameters else ()
    if "stops" in expected:
        ended = run_engine("run", "--template", str(template), "--port", str(free_port()), *arguments)
        sentences = ended.stderr.replace(f"{template.parent}/", "").splitlines()
        assert (ended.returncode, sentences) == (ExitStatus.TEMPLATE, expected["stops"])
        return
    given = expected.get("parameters", {})
    with EngineProcess(template, "--services", empty_services.endpoint, parameters=given) as engine:
        assert refused_lines(engine.lines) == expected.get("refused", [])
        trial = Trial(engine, template)
        for step in expected["steps"]:
            trial.take(step)
        assert expected.get("raises", False) == ("Traceback" in engine.output)


def test_page_shows_all_templates() -> None:
    assert TABLE.read_text() == describe_table()
    assert len(NAMES) >= 40
    assert len({read(name)["resembles"].partition("/")[0] for name in NAMES}) >= 36


if __name__ == "__main__":
    TABLE.write_text(describe_table())
