"""Nested applications: served with their parent, with values in both directions."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import STACKS, aws_client, copy_stack

from local_engine.template import TemplateError, load_template
from local_engine.template.function_urls import localize_urls
from local_engine.testing import EngineProcess

ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
TEMPLATE = STACKS / "nested" / "template.yaml"


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    with EngineProcess(TEMPLATE) as engine:
        yield engine


def call_part(engine: EngineProcess, path: str = "/signed") -> httpx.Response:
    # The nested API comes after the root's.
    return httpx.get(f"http://127.0.0.1:{engine.port + 1}{path}", trust_env=False, timeout=30)


def test_a_parent_reads_outputs_of_its_children_and_theirs(engine: EngineProcess) -> None:
    with engine.client() as client:
        assert client.get("/").json() == {
            "SIGNER": f"{ARN}local-Part-Signer",
            "INNER_QUEUE": "arn:aws:sqs:us-east-1:123456789012:Part-Inner-Results",
            "EXTRA": "none",
            "AUDIENCE": "developers!",
            "STORE": "Bought.Outputs.Url",
        }


def test_a_nested_api_is_served_with_its_parents_values(engine: EngineProcess) -> None:
    assert call_part(engine).json() == {
        "signature": "signed",
        "arn": f"{ARN}local-Part-Signer:live",
        "TABLE": "Table",
        "HELPER": f"{ARN}local-Helper:live",
        "WORDS": "hello world",
        "STACK": "local-Part",
    }
    assert "Signature" in call_part(engine, "/_local/openapi.json").json()["components"]["schemas"]


def test_resources_of_all_templates_exist(engine: EngineProcess) -> None:
    tables = aws_client("dynamodb", engine.services).list_tables()["TableNames"]
    assert set(tables) == {"Table", "Part-Keys"}
    urls = aws_client("sqs", engine.services).list_queues()["QueueUrls"]
    assert {url.rpartition("/")[2] for url in urls} == {"Part-Jobs", "Part-Inner-Results"}


def test_alarms_and_dashboards_of_children_are_shown(engine: EngineProcess) -> None:
    with engine.client() as client:
        assert [alarm["name"] for alarm in client.get("/_local/alarms.json").json()["alarms"]] == ["Part-Failures"]
        assert len(client.get("/_local/dashboard.json").json()["dashboards"]) == 1


def test_a_nested_function_is_invoked_by_its_name(engine: EngineProcess) -> None:
    answer = aws_client("lambda", f"{engine.url}/_local/lambda").invoke(FunctionName="local-Part-Signer:live")
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "1")
    engine.wait_for_line("POST .*local-Part-Signer.* 200 .* Part/Signer (cold|warm)")


@pytest.mark.parametrize("name", ["Part/Signer", "Part/Signer:live"])
def test_a_nested_function_is_invoked_by_its_logical_id(engine: EngineProcess, name: str) -> None:
    assert engine.invoke(name) == engine.invoke(name.replace("Part/", "local-Part-"))
    deliveries = engine.deliveries()
    engine.invoke(name, is_asynchronous=True)
    assert deliveries.wait("Invoke", function="Part/Signer").outcome == "ok"


def test_an_unknown_nested_function_is_not_found(engine: EngineProcess) -> None:
    client = engine.aws_client("lambda")
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="Function not found"):
        client.invoke(FunctionName="Part/Nobody")


def test_an_application_from_elsewhere_is_not_run(engine: EngineProcess) -> None:
    assert "Bought is not run: it is an application from the Serverless Application Repository." in engine.lines


def test_conditions_and_no_value_in_globals() -> None:
    without, stack = load_template(TEMPLATE, {}), load_template(TEMPLATE, {"Extra": "yes"})
    assert "Extra/Signer" not in without.functions
    assert stack.functions["Main"].environment["EXTRA"] == f"{ARN}local-Extra-Signer"
    assert stack.functions["Extra/Signer"].environment["HELPER"] == f"{ARN}local-Helper:1"
    assert stack.functions["Extra/Signer"].environment["TABLE"].endswith(":table/Table")
    assert (without.functions["Main"].reserved_concurrency, stack.functions["Main"].reserved_concurrency) == (None, 7)
    assert stack.functions["Part/Signer"].reserved_concurrency is None


def test_edits_of_a_child_take_effect_on_the_next_request(tmp_path: Path) -> None:
    template = copy_stack("nested", tmp_path)
    child = template.parent / "parts" / "part.yaml"
    source = child.read_text()
    with EngineProcess(template) as engine:
        assert call_part(engine).status_code == 200
        child.write_text(source.replace("/signed", "/sealed"))
        assert call_part(engine).status_code == 404
        assert call_part(engine, "/sealed").json()["signature"] == "signed"
        child.write_text("Resources: [")
        assert call_part(engine, "/sealed").status_code == 200
        engine.wait_for_line(r"part.yaml, line 1.*not valid YAML")
        child.write_text(source)
        assert call_part(engine).status_code == 200
        # A fault in a file that the served stack does not have is followed too.
        template.write_text(template.read_text().replace("parts/part.yaml", "parts/other.yaml", 1))
        assert call_part(engine).status_code == 200
        engine.wait_for_line("other.yaml cannot be read")
        (template.parent / "parts" / "other.yaml").write_text(source.replace("/signed", "/other"))
        assert call_part(engine, "/other").status_code == 200
        assert "samtranslator" not in engine.output
        assert "unpublished" not in engine.output


@pytest.mark.parametrize(
    ("file", "edit", "sentence"),
    [
        ("template.yaml", ("parts/part.yaml", "parts/gone.yaml"), "gone.yaml cannot be read"),
        (
            "template.yaml",
            ("Part.Outputs.SignerArn", "Part.Outputs.Nothing"),
            "has no output 'Nothing'; it has SignerArn",
        ),
        ("template.yaml", ("        Table: !Ref Table\n", ""), r"\(application Part\): parameter Table has no default"),
        (
            "template.yaml",
            ("Table: !Ref Table\n", "Tables: !Ref Table\n"),
            r"\(application Part\) has no parameter 'Tables'",
        ),
        (
            "template.yaml",
            ("Table: !Ref Table", "Table: !GetAtt Part.Outputs.SignerArn"),
            "parameters of application Part depend on its own outputs",
        ),
        (
            "template.yaml",
            ("      KeySchema:", "      Tags: [{Key: a, Value: !GetAtt Part.Outputs.SignerArn}]\n      KeySchema:"),
            "in a circle: Table → Part → Table",
        ),
        (
            "template.yaml",
            (
                "!If [HasExtra, !GetAtt Extra.Outputs.SignerArn, none]",
                "!If [HasExtra, none, !GetAtt Extra.Outputs.SignerArn]",
            ),
            "application Extra has no outputs, because HasExtra is false",
        ),
        ("parts/part.yaml", ("Ref Words]", "Ref Word]"), "Part/Signer is not run: Ref names 'Word'"),
        ("parts/part.yaml", ("GetAtt Signer.Arn", "GetAtt Singer.Arn"), r"part.yaml: output SignerArn: .*'Singer'"),
        ("parts/part.yaml", ("inner/inner.yaml", "part.yaml"), "part.yaml nests itself"),
    ],
)
def test_faults_are_sentences(tmp_path: Path, file: str, edit: tuple[str, str], sentence: str) -> None:
    template = copy_stack("nested", tmp_path)
    path = template.parent / file
    text = path.read_text()
    assert edit[0] in text
    path.write_text(text.replace(*edit, 1))
    try:
        said = "\n".join(load_template(template, {}).notices)
    except TemplateError as error:
        said = str(error)
    assert re.search(sentence, said)


def test_a_dynamic_reference_reaches_the_secrets_around_an_application(tmp_path: Path) -> None:
    secret = "{Type: AWS::SecretsManager::Secret, Properties: {SecretString: hidden}}"
    tmp_path.joinpath("template.yaml").write_text(f"""
Resources:
  Key: {secret}
  Part: {{Type: AWS::Serverless::Application, Properties: {{Location: part.yaml, Parameters: {{Key: !Ref Key}}}}}}
""")
    tmp_path.joinpath("part.yaml").write_text("""
Parameters: {Key: {Type: String}}
Resources:
  Thing: {Type: AWS::None::None, Properties: {Value: !Sub '{{resolve:secretsmanager:${Key}}}'}}
""")
    stack = load_template(tmp_path / "template.yaml", {})
    assert stack.resources["Part/Thing"].properties["Value"] == "hidden"


def test_a_variable_with_an_apis_address_holds_the_local_one(tmp_path: Path) -> None:
    # The first API's name ends the second one's, and a stage's reference is its name.
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text("def handler(event, context): pass\n")
    template = tmp_path / "template.yaml"
    template.write_text("""
Transform: AWS::Serverless-2016-10-31
Resources:
  Api: {Type: AWS::Serverless::HttpApi}
  MyApi: {Type: AWS::Serverless::Api, Properties: {StageName: v1}}
  Caller:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      Handler: app.handler
      CodeUri: code
      Environment:
        Variables:
          URL: !Sub https://${MyApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${MyApi.Stage}
          HOST: !Sub ${Api}.execute-api.${AWS::Region}.amazonaws.com
  Called:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      Handler: app.handler
      CodeUri: code
      Events:
        First: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: get, Path: /}}
        Second: {Type: Api, Properties: {RestApiId: !Ref MyApi, Method: get, Path: /}}
""")
    stack = localize_urls(load_template(template, {}), [3001, 3002])
    environment = stack.functions["Caller"].environment
    assert (environment["URL"], environment["HOST"]) == ("http://127.0.0.1:3002/v1", "127.0.0.1:3001")
