"""Templates with parts that the engine cannot serve: a line for each, 501 on their routes, and the rest is served."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import aws_client

from local_engine.template import load_template
from local_engine.testing import EngineProcess

APP = "import os\n\ndef handler(event, context):\n    return {name: os.environ.get(name) for name in ('A', 'B')}\n"
TEMPLATE = """
Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31, Mine]
Parameters:
  Image: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /images/latest}
Mappings: {Stages: {dev: {Size: 256}}}
Globals: {Function: {CodeUri: code, Handler: app.handler, Runtime: python3.13}}
Resources:
  Good:
    Type: AWS::Serverless::Function
    Properties:
      VpcConfig: {SubnetIds: [!Select [9, !Cidr [10.0.0.0/16, 2, 8]]], SecurityGroupIds: [!ImportValue group]}
      Layers: [!Ref Image]
      MemorySize: !FindInMap [Stages, prod, Size, DefaultValue: 512]
      Environment: {Variables: {A: !Length [x, y], B: !ToJsonString {key: '{{resolve:ssm:/key:1}}'}}}
      Events:
        Get: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /good, Method: get}}
        Imported: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /old, Method: get, PayloadFormatVersion: '1.0'}}
        Nobody: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /nobody, Method: get, Auth: {Authorizer: Nobody}}}
        Place: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /place, Method: get, Auth: {Authorizer: Place}}}
        Empty: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /empty, Method: get, Auth: {Authorizer: Empty}}}
        Busy: {Type: HttpApi, Properties: {ApiId: !Ref Busy, Path: /busy, Method: get}}
        Rest: {Type: Api, Properties: {Path: /rest, Method: get}}
        Paged: {Type: HttpApi, Properties: {ApiId: !Ref Paged, Path: /paged, Method: get}}
        Listed: {Type: HttpApi, Properties: {ApiId: !Ref Listed, Path: /listed, Method: get}}
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        Authorizers:
          Place: {IdentitySource: Authorization, JwtConfiguration: {issuer: 'https://x.example', audience: [a]}}
          Empty: {IdentitySource: $request.header.Authorization, JwtConfiguration: {issuer: 'https://x.example', audience: []}}
  Busy: {Type: AWS::Serverless::HttpApi, Properties: {DefaultRouteSettings: {ThrottlingBurstLimit: many}}}
  Silent: {Type: AWS::Serverless::HttpApi}
  Paged: {Type: AWS::Serverless::HttpApi, Properties: {CorsConfiguration: {AllowOrigins: [!ImportValue page]}}}
  Listed: {Type: AWS::Serverless::HttpApi, Properties: {CorsConfiguration: {AllowOrigins: !Split [',', 'https://a.b,https://c.d']}}}
  Mine: {Type: AWS::ApiGateway::RestApi, Properties: {Name: mine}}
  MineDeployed: {Type: AWS::ApiGateway::Deployment, Properties: {RestApiId: !Ref Mine, StageName: v1}}
  TheirsDeployed: {Type: AWS::ApiGateway::Deployment, Properties: {RestApiId: !ImportValue api, StageName: v1}}
  MyMethod:
    Type: AWS::ApiGateway::Method
    Properties: {HttpMethod: GET, ResourceId: !GetAtt Mine.RootResourceId, RestApiId: !Ref Mine, Integration: &mock {Type: MOCK, RequestTemplates: {application/json: '{"statusCode": 200}'}, IntegrationResponses: [{StatusCode: 200}]}}
  TheirMethod:
    Type: AWS::ApiGateway::Method
    Properties: {HttpMethod: GET, ResourceId: !ImportValue root, RestApiId: !ImportValue api, Integration: *mock}
  Imports:
    Type: AWS::Serverless::Function
    Properties:
      Environment: {Variables: {A: !ImportValue elsewhere}}
      Events: {Get: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /imports, Method: get}}}
  Slow:
    Type: AWS::Serverless::Function
    Properties:
      Timeout: abc
      Events: {Get: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /slow, Method: get}}}
  Regional:
    Type: AWS::Serverless::Function
    Properties:
      Environment: {Variables: {AWS_REGION: eu-west-1}}
      Events: {Get: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /regional, Method: get}}}
  Node:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs24.x
      Events: {Get: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /node, Method: get}}}
  Remote:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: s3://bucket/key
      Events: {Get: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /remote, Method: get}}}
  Packed:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code.zip
      Events: {Get: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /packed, Method: get}}}
  Raw: {Type: AWS::Lambda::Function, Properties: {Code: ., Handler: raw/app.handler, Runtime: python3.13, Role: role}}
  Kit: {Type: AWS::Serverless::Application, Properties: {Location: {ApplicationId: 'arn:aws:serverlessrepo:us-east-1:1:applications/kit', SemanticVersion: 1.0.0}}}
  Thing: {Properties: {A: b}}
  Key: {Type: AWS::SSM::Parameter, Properties: {Name: /key, Type: String, Value: value}}
  Cluster: {Type: AWS::RDS::DBCluster, Properties: {Engine: !ImportValue engine}}
  Network: {Type: AWS::EC2::VPC, Properties: {CidrBlock: !Select [3, !Split ['-', a-b]]}}
  Mixed: {Type: AWS::Events::Rule, Properties: {EventPattern: {source: [mixed]}, Targets: [{Id: a, Arn: !GetAtt Cluster.Arn}, {Id: b, Arn: !GetAtt Good.Arn}]}}
  Table:
    Type: AWS::DynamoDB::Table
    Properties: {KeySchema: !ImportValue keys}
  Fn::ForEach::Queues:
    - Name
    - [first, second]
    - Queue${Name}: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub 'queue-${Name}'}}
  Fn::ForEach::Wrong: [Name, !Ref Nobody, {Queue: {Type: AWS::SQS::Queue}}]
"""  # noqa: E501 - a template


def write_template(folder: Path, text: str = TEMPLATE) -> Path:
    for name in ("code", "raw"):
        (folder / name).mkdir()
        (folder / name / "app.py").write_text(APP)
    with zipfile.ZipFile(folder / "code.zip", "w") as archive:
        archive.writestr("app.py", APP)
    path = folder / "template.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    template = write_template(tmp_path_factory.mktemp("unserved"))
    # A profile that does not exist: reading the developer's configuration would fail.
    with EngineProcess(template, environment={"AWS_PROFILE": "nobody", "AWS_CONFIG_FILE": "/nowhere"}) as engine:
        yield engine


@pytest.fixture(scope="module")
def client(engine: EngineProcess) -> Iterator[httpx.Client]:
    with engine.client() as client:
        yield client


def test_what_can_be_served_is_served(engine: EngineProcess, client: httpx.Client) -> None:
    assert client.get("/good").json() == {"A": "2", "B": '{"key":"value"}'}
    assert client.get("/packed").status_code == 200
    answer = aws_client("lambda", f"{engine.url}/_local/lambda").invoke(FunctionName="local-Raw")
    assert json.load(answer["Payload"]) == {"A": None, "B": None}
    queues = aws_client("sqs", engine.services).list_queues()["QueueUrls"]
    assert {url.rpartition("/")[2] for url in queues} == {"queue-first", "queue-second"}


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/imports", "Function Imports is not run: Fn::ImportValue needs 'elsewhere' of another stack"),
        ("/slow", "its Timeout is 'abc'"),
        ("/node", "its Runtime is nodejs24.x"),
        ("/regional", "its environment variable AWS_REGION is reserved, and Lambda rejects it."),
        ("/remote", "its CodeUri is s3://bucket/key"),
        ("/place", "The identity source of authorizer Place is 'Authorization'"),
        ("/empty", "Authorizer Empty accepts no audience"),
    ],
)
def test_a_route_that_cannot_be_served_is_501_with_a_sentence(client: httpx.Client, path: str, sentence: str) -> None:
    response = client.get(path)
    assert response.status_code == 501
    assert sentence in response.json()["message"]


def test_an_api_with_wrong_settings_answers_501(engine: EngineProcess) -> None:
    ports = [line.split()[-1] for line in engine.lines if " is served at " in line]
    response = httpx.get(f"{ports[1]}/busy", trust_env=False)
    assert response.status_code == 501
    assert "ThrottlingBurstLimit is 'many'" in response.json()["message"]


@pytest.mark.parametrize("api", ["Paged", "Listed"])
def test_an_api_whose_cors_configuration_is_wrong_is_served_without_it(engine: EngineProcess, api: str) -> None:
    with engine.client(api) as client:
        response = client.get(f"/{api.lower()}", headers={"Origin": "https://a.b"})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


def test_methods_of_other_stacks_apis_leave_the_own_api_as_it_is(engine: EngineProcess) -> None:
    with engine.client("Mine") as client:
        assert client.get("/").status_code == 200


def test_a_rule_runs_for_those_of_its_targets_that_are_here(engine: EngineProcess) -> None:
    entry = {"Source": "mixed", "DetailType": "any", "Detail": "{}"}
    aws_client("events", engine.services).put_events(Entries=[entry])
    engine.wait_for_line("rule Mixed 1 record ok")


def test_an_api_without_routes_answers_404(engine: EngineProcess) -> None:
    ports = [line.split()[-1] for line in engine.lines if " is served at " in line]
    assert httpx.get(ports[2], trust_env=False).status_code == 404


@pytest.mark.parametrize(
    "line",
    [
        "Kit is not run: it is an application from the Serverless Application Repository.",
        "Thing is not run: it has no Type.",
        "Cluster is not run: the local engine has no AWS::RDS::DBCluster.",
        "Table is not run: Fn::ImportValue needs 'keys'",
        "Good.Nobody is not run: .*authorizer.*Nobody",
        "A layer of Good is not run: parameter Image stands for",
        "Fn::ForEach::Wrong is not run: Ref names 'Nobody'",
        "the macro Mine is not run",
        "Imports is not run: ",
        "Busy is not run: ",
        "Paged is run in part: its CORS configuration is left out: Fn::ImportValue needs 'page' of another stack",
        "Listed is run in part: its CORS configuration is left out: .* is not a mapping",
        "TheirMethod is not run: its API is not in this template.",
        "Mixed is run in part: its target Cluster.Arn is not here.",
    ],
)
def test_each_part_that_is_not_run_has_a_line(engine: EngineProcess, line: str) -> None:
    engine.wait_for_line(f"(?i){line}")
    assert "Network" not in engine.output
    assert "Traceback" not in engine.output


INVOKED = """
Resources:
  Hello: {Type: AWS::Lambda::Function, Properties: {Code: code, Handler: app.handler, Runtime: python3.13, Role: role}}
"""


def test_a_template_without_an_api_serves_invoke(tmp_path: Path) -> None:
    with EngineProcess(write_template(tmp_path, INVOKED)) as engine:
        answer = aws_client("lambda", f"{engine.url}/_local/lambda").invoke(FunctionName="local-Hello")
        assert json.load(answer["Payload"]) == {"A": None, "B": None}
        assert httpx.get(f"{engine.url}/other", trust_env=False).status_code == 404
        engine.wait_for_line("no API. Its functions can be invoked: Hello")


DELIVERING = """
Resources:
  Jobs: {Type: AWS::SQS::Queue}
  Collected: {Type: AWS::Events::Rule, Properties: {EventPattern: {source: [mine]}, Targets: [{Id: a, Arn: !GetAtt Jobs.Arn}]}}
"""  # noqa: E501 - a template


def test_a_template_without_functions_runs_its_rules(tmp_path: Path) -> None:
    with EngineProcess(write_template(tmp_path, DELIVERING)) as engine:
        entry = {"Source": "mine", "DetailType": "any", "Detail": "{}"}
        aws_client("events", engine.services).put_events(Entries=[entry])
        queues = aws_client("sqs", engine.services)
        url = queues.get_queue_url(QueueName="Jobs")["QueueUrl"]
        (message,) = queues.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
        assert json.loads(message["Body"])["source"] == "mine"
        engine.wait_for_line("no function that can run. Its rules and subscriptions run")


def test_json_may_have_tabs(tmp_path: Path) -> None:
    function = {"Code": "code", "Handler": "app.handler", "Runtime": "python3.13", "Role": "role"}
    template = {"Resources": {"Hello": {"Type": "AWS::Lambda::Function", "Properties": function}}}
    path = write_template(tmp_path, json.dumps(template, indent="\t"))
    assert list(load_template(path, {}).functions) == ["Hello"]


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("!Cidr [10.0.0.0/16, 2, 8]", ["10.0.0.0/24", "10.0.1.0/24"]),
        ("!Cidr ['2001:db8::/56', 1, 64]", ["2001:db8::/64"]),
        ("!Select ['1', !Split [',', 'a,b']]", "b"),
        ("!Join ['-', [a, 1, !Ref AWS::Region]]", "a-1-us-east-1"),
        ("!Sub '${AWS::Region} ${!Literal}'", "us-east-1 ${Literal}"),
        ("!Sub ['${X}', {X: !GetAZs ''}]", "us-east-1a,us-east-1b,us-east-1c"),
        ("!Base64 hello", "aGVsbG8="),
        ("!FindInMap [M, a, b]", 1),
        ("!FindInMap [M, a, z, {DefaultValue: 2}]", 2),
        ("!If [C, x, !ImportValue y]", "x"),
        ("!Length [1, 2, 3]", 3),
        ("!ToJsonString {a: [1, !Ref AWS::Region]}", '{"a":[1,"us-east-1"]}'),
        ("'{{resolve:secretsmanager:Secret:SecretString:user}}!'", "me!"),
        ("'{{resolve:ssm-secure:/key}}'", "v"),
    ],
)
def test_intrinsic_functions(tmp_path: Path, value: str, result: object) -> None:
    text = f"""
Mappings: {{M: {{a: {{b: 1}}}}}}
Conditions: {{C: !And [!Equals [a, a], !Not [!Or [!Equals [a, b], !Equals [c, d]]]]}}
Resources:
  Thing: {{Type: AWS::None::None, Properties: {{Value: {value}}}}}
  Secret: {{Type: AWS::SecretsManager::Secret, Properties: {{SecretString: '{{"user": "me"}}'}}}}
  Key: {{Type: AWS::SSM::Parameter, Properties: {{Name: /key, Value: v}}}}
"""
    stack = load_template(write_template(tmp_path, text), {})
    assert stack.resources["Thing"].properties["Value"] == result


@pytest.mark.parametrize("kind", ["Alias", "Url", "Version"])
@pytest.mark.parametrize("properties", ["", ", Properties: {AuthType: NONE}"])
def test_a_resource_without_the_properties_of_its_reference_hurts_nothing_else(
    tmp_path: Path, kind: str, properties: str
) -> None:
    text = f"{INVOKED}  Odd: {{Type: 'AWS::Lambda::{kind}'{properties}}}\nOutputs: {{A: {{Value: !Ref Odd}}}}\n"
    assert list(load_template(write_template(tmp_path, text), {}).functions) == ["Hello"]


def test_loops_are_expanded_in_loops_and_properties(tmp_path: Path) -> None:
    text = """
Parameters: {Names: {Type: CommaDelimitedList, Default: 'a-1,b-2'}}
Resources:
  Fn::ForEach::Outer:
    - Name
    - !Ref Names
    - Fn::ForEach::Inner:
        - Kind
        - [X, Y]
        - Thing&{Name}${Kind}:
            Type: AWS::None::None
            Properties:
              Name: !Sub '${Name}/${AWS::Region}'
              Fn::ForEach::Tags: [Tag, [t], {'${Tag}${Kind}': !Ref Tag}]
"""
    stack = load_template(write_template(tmp_path, text), {})
    assert list(stack.resources) == ["Thinga1X", "Thinga1Y", "Thingb2X", "Thingb2Y"]
    assert stack.resources["Thingb2Y"].properties == {"Name": "b-2/us-east-1", "tY": "t"}


def test_triggers_that_start_nothing_here_get_a_line(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text(APP)
    template = tmp_path / "template.yaml"
    template.write_text("""
Transform: AWS::Serverless-2016-10-31
Resources:
  Woken:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: app.handler
      Runtime: python3.13
      Events:
        Thing: {Type: IoTRule, Properties: {Sql: "SELECT * FROM 'a'"}}
        Lines: {Type: CloudWatchLogs, Properties: {LogGroupName: /a, FilterPattern: x}}
        Skill: {Type: AlexaSkill}
        SignUp: {Type: Cognito, Properties: {UserPool: !Ref Users, Trigger: PreSignUp}}
  Users: {Type: AWS::Cognito::UserPool}
  Kept:
    Type: AWS::Events::Archive
    Properties: {SourceArn: 'arn:aws:events:us-east-1:123456789012:event-bus/default'}
""")
    refused = {notice.partition(" ")[0] for notice in load_template(template, {}).notices}
    assert refused == {"WokenThing", "WokenLines", "WokenSkillPermission", "Users", "Kept"}
