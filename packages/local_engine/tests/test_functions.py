"""Functions that misbehave, run at the same time, and change."""

import os
import re
import signal
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import httpx
import pytest
from conftest import STACKS, copy_stack

from local_engine.testing import EngineProcess, is_running, poll, processes_below

ERROR = (500, {"message": "Internal Server Error"})


@pytest.mark.parametrize(
    "deed", ["exit", "crash", "raise", "set", "nan", "bytes", "huge", "status", "body", "header", "base64"]
)
def test_failure_is_500_and_the_next_request_works(misbehaving: httpx.Client, deed: str) -> None:
    response = misbehaving.get(f"/{deed}")
    assert (response.status_code, response.json()) == ERROR
    assert misbehaving.get("/fine").status_code == 200


def test_timeout_is_500_and_the_next_request_works(
    misbehaving_engine: EngineProcess, misbehaving: httpx.Client
) -> None:
    before = misbehaving.get("/hanging/fine").json()["pid"]
    response = misbehaving.get("/hang")
    assert (response.status_code, response.json()) == ERROR
    misbehaving_engine.wait_for_line(r"Hanging \| Task timed out after 1.00 seconds")
    poll(lambda: not is_running(before), "the process that hung is still there")
    assert misbehaving.get("/hanging/fine").json()["pid"] != before


def test_failed_import_is_500_and_names_file_and_line(
    misbehaving_engine: EngineProcess, misbehaving: httpx.Client
) -> None:
    response = misbehaving.get("/broken")
    assert (response.status_code, response.json()) == ERROR
    line = misbehaving_engine.wait_for_line(r"Broken \| The function cannot be imported")
    assert "broken/app.py, line 1" in line
    assert "No module named 'no_such_module'" in line


def test_traceback_is_shown_in_full(misbehaving_engine: EngineProcess, misbehaving: httpx.Client) -> None:
    misbehaving.get("/raise")
    misbehaving_engine.wait_for_line(r"Misbehaving \| The function raised an error at .*LookupError: the deed")
    misbehaving_engine.wait_for_line(r"^    .*in _raise")
    assert "runtime.py" not in misbehaving_engine.output


def test_an_error_inside_a_package_names_the_users_own_line(
    misbehaving_engine: EngineProcess, misbehaving: httpx.Client
) -> None:
    misbehaving.get("/misuse")
    line = misbehaving_engine.wait_for_line("JSONDecodeError: ")
    assert re.search(r"misbehaving/app.py, line \d+: JSONDecodeError", line)


def test_output_is_shown_with_the_functions_name(misbehaving_engine: EngineProcess, misbehaving: httpx.Client) -> None:
    assert misbehaving.get("/print").text == "printed"
    for pattern in (
        r"^Misbehaving \| printed to stdout$",
        r"^Misbehaving \| printed to stderr$",
        r"^Misbehaving \| no newline\[ERROR\] logged$",
        r"^Misbehaving \| INFO readable order=17$",
        r"^Misbehaving \| METRIC Deeds: Done=1.0 \(kind=print\)$",
    ):
        misbehaving_engine.wait_for_line(pattern)


def test_response_just_below_the_limit_passes(misbehaving: httpx.Client) -> None:
    assert len(misbehaving.get("/big").content) == 5 * 1024 * 1024


def test_nothing_returned_is_null(misbehaving: httpx.Client) -> None:
    assert misbehaving.get("/nothing").text == "null"


def test_no_content(misbehaving: httpx.Client) -> None:
    response = misbehaving.get("/empty")
    assert (response.status_code, response.content) == (204, b"")
    assert "content-type" not in response.headers


def test_process_is_used_again(misbehaving: httpx.Client) -> None:
    first, second = (misbehaving.get("/fine").json() for _ in range(2))
    assert first["pid"] == second["pid"]
    assert second["requests"] == first["requests"] + 1


def test_requests_overlap(misbehaving: httpx.Client, tmp_path: Path) -> None:
    names = ["a", "b", "c"]

    def meet(index: int) -> httpx.Response:
        query = {"folder": str(tmp_path), "me": names[index], "others": ",".join(names)}
        return misbehaving.get("/meet", params=query)

    with ThreadPoolExecutor(len(names)) as executor:
        responses = list(executor.map(meet, range(len(names))))
    assert [response.status_code for response in responses] == [200, 200, 200]
    assert len({response.text for response in responses}) == len(names)


def test_more_than_the_reserved_concurrency_is_503(misbehaving: httpx.Client, tmp_path: Path) -> None:
    def meet(me: str, other: str) -> httpx.Response:
        return misbehaving.get("/reserved/meet", params={"folder": str(tmp_path), "me": me, "others": other})

    with ThreadPoolExecutor(1) as executor:
        first = executor.submit(meet, "first", "second")
        poll((tmp_path / "first").exists, "the first request did not reach its function")
        rejected = meet("second", "first")
        assert (rejected.status_code, rejected.json()) == (503, {"message": "Service Unavailable"})
        (tmp_path / "second").touch()
        assert first.result().status_code == 200


def test_gateways_timeout_is_503_and_the_function_goes_on(misbehaving: httpx.Client, tmp_path: Path) -> None:
    response = misbehaving.get("/slow", params={"folder": str(tmp_path)})
    assert (response.status_code, response.json()) == (503, {"message": "Service Unavailable"})
    poll((tmp_path / "started").exists, "the function did not start")
    (tmp_path / "go").touch()
    poll((tmp_path / "finished").exists, "the function did not go on")


def test_edits_take_effect_on_the_next_request(echo_copy: Path) -> None:
    source = echo_copy.parent / "functions" / "echo" / "app.py"
    with EngineProcess(echo_copy) as engine, engine.client() as client:
        for answer in ("1", "2", "3"):
            source.write_text(f"def lambda_handler(event, context):\n    return {answer!r}\n")
            assert client.get("/").text == answer
        source.write_text("def lambda_handler(event, context):\n    return oops oops\n")
        assert client.get("/").status_code == 500
        assert "app.py, line 2" in engine.wait_for_line("SyntaxError")
        source.write_text("def lambda_handler(event, context):\n    return 'well'\n")
        assert client.get("/").text == "well"


def test_edits_of_the_template_take_effect_on_the_next_request(echo_copy: Path) -> None:
    template = echo_copy.read_text()
    with EngineProcess(echo_copy) as engine, engine.client() as client:
        assert client.get("/x").json()["routeKey"] == "$default"
        echo_copy.write_text(
            template.replace("Type: HttpApi", "Type: HttpApi\n          Properties: {Path: /y, Method: get}")
        )
        assert client.get("/x").status_code == 404
        assert client.get("/y").json()["routeKey"] == "GET /y"
        echo_copy.write_text("Resources: [")
        assert client.get("/y").status_code == 200
        engine.wait_for_line("template.yaml, line 1.*not valid YAML")
        echo_copy.write_text(template)
        assert client.get("/x").json()["routeKey"] == "$default"


def test_edits_during_a_reload_take_effect_on_the_next_request(echo_copy: Path) -> None:
    notes = echo_copy.with_name("notes.json")
    include = "Metadata: {Fn::Transform: {Name: AWS::Include, Parameters: {Location: notes.json}}}\n"
    template = echo_copy.read_text() + include

    def write_route(path: str) -> None:
        route = f"Type: HttpApi\n          Properties: {{Path: {path}, Method: get}}"
        echo_copy.write_text(template.replace("Type: HttpApi", route))

    notes.write_text("{}")
    echo_copy.write_text(template)
    with EngineProcess(echo_copy) as engine, engine.client() as client, ThreadPoolExecutor(2) as executor:
        write_route("/first")
        # The engine stops in its reload, until something is written into the pipe.
        os.mkfifo(pipe := notes.with_name("pipe"))
        pipe.replace(notes)
        requests = [executor.submit(client.get, "/first")]
        with notes.open("w") as written:
            requests.append(executor.submit(client.get, "/first"))
            # A request that did not wait would be answered meanwhile.
            assert not wait(requests, timeout=0.5, return_when=FIRST_COMPLETED).done
            write_route("/second")
            (plain := notes.with_name("plain")).write_text("{}")
            plain.replace(notes)
            written.write("{}")
        assert client.get("/second").status_code == 200
        assert client.get("/first").status_code == 404


def test_edits_of_an_included_file_reach_functions_that_read_it_at_their_start(tmp_path: Path) -> None:
    template = copy_stack("guarded", tmp_path)
    included = template.with_name("schemas.yaml")
    source = template.parent / "functions" / "claims" / "app.py"
    source.write_text(
        f"text = open({str(included)!r}).read()\n"
        "def lambda_handler(event, context):\n"
        "    return {'size': len(text)}\n"
    )
    arguments = ["--parameters", "Issuer=http://127.0.0.1:3000/_local/issuer"]
    with EngineProcess(template, *arguments) as engine, engine.client() as client:
        before = client.get("/free").json()["size"]
        included.write_text(f"{included.read_text()}# edited\n")
        assert client.get("/free").json()["size"] == before + len("# edited\n")
        included.write_text("[" * 5000)
        assert client.get("/free").status_code == 200
        engine.wait_for_line("nested too deeply|not valid YAML")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_everything_at_once(number: int) -> None:
    with (
        EngineProcess(STACKS / "misbehaving" / "template.yaml") as engine,
        engine.client() as client,
        ThreadPoolExecutor(1) as executor,
    ):
        child = int(client.get("/child").text)
        executor.submit(lambda: httpx.get(f"{engine.url}/hang", timeout=30, trust_env=False)).add_done_callback(
            lambda hanging: hanging.exception()
        )
        below = [*processes_below(engine.process.pid), child]
        assert len(below) >= 3
        assert engine.stop(number) == 0
        assert "Traceback" not in engine.output
        poll(lambda: not any(map(is_running, below)), "a process is left")


def test_killed_engine_leaves_no_process(tmp_path: Path) -> None:
    with (
        EngineProcess(STACKS / "misbehaving" / "template.yaml") as engine,
        engine.client() as client,
        ThreadPoolExecutor(1) as executor,
    ):
        executor.submit(
            lambda: httpx.get(f"{engine.url}/slow", params={"folder": str(tmp_path)}, timeout=30, trust_env=False)
        ).add_done_callback(lambda slow: slow.exception())
        poll((tmp_path / "started").exists, "the function did not start")
        child = int(client.get("/child").text)
        below = [*processes_below(engine.process.pid), child]
        engine.process.kill()
        engine.process.wait()
        poll(lambda: not any(map(is_running, below)), "a process is left")


def test_a_daemon_of_a_function_does_not_hold_up_the_end() -> None:
    with EngineProcess(STACKS / "misbehaving" / "template.yaml") as engine, engine.client() as client:
        daemon = int(client.get("/daemon").text)
        try:
            assert engine.stop() == 0
        finally:
            os.kill(daemon, signal.SIGKILL)


def test_folder_that_is_gone_is_500_until_it_is_back(echo_copy: Path) -> None:
    folder = echo_copy.parent / "functions" / "echo"
    with EngineProcess(echo_copy) as engine, engine.client() as client:
        assert client.get("/").status_code == 200
        folder.rename(folder.with_name("moved"))
        assert client.get("/").status_code == 500
        folder.with_name("moved").rename(folder)
        assert client.get("/").status_code == 200


def test_requests_that_wait_for_a_failed_start_get_their_own() -> None:
    with (
        EngineProcess(STACKS / "misbehaving" / "template.yaml", "--processes", "1") as engine,
        engine.client() as client,
        ThreadPoolExecutor(3) as pool,
    ):
        answers = list(pool.map(lambda _: client.get("/broken").status_code, range(3)))
    assert answers == [500, 500, 500]
