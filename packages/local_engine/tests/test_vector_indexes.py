"""DynamoDB vector indexes: SearchVectors finds what a brute-force search finds, and rejects what DynamoDB rejects."""

import json
import math
import struct
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from conftest import aws_client
from hypothesis import given, settings
from hypothesis import strategies as st

from local_engine.services.aws_services import Services
from local_engine.services.stack_resources import create_resources, seed_tables
from local_engine.template import load_template

TEMPLATE = """
Parameters: {Dimensions: {Type: Number, Default: 3}}
Resources:
  Notes:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions:
        - {AttributeName: owner, AttributeType: S}
        - {AttributeName: id, AttributeType: S}
        - {AttributeName: kind, AttributeType: S}
      KeySchema:
        - {AttributeName: owner, KeyType: HASH}
        - {AttributeName: id, KeyType: RANGE}
      VectorIndexes:
        - IndexName: by-meaning
          VectorAttribute: {AttributeName: vector}
          Dimensions: !Ref Dimensions
          DistanceFunction: COSINE
          SearchSchema:
            - {AttributeName: owner, SearchSchemaElementType: HASH}
            - {AttributeName: kind, SearchSchemaElementType: INLINE_FILTER}
          Projection: {ProjectionType: ALL}
  Function:
    Type: AWS::Lambda::Function
    Properties: {Runtime: python3.13, Handler: x.y, Code: {ZipFile: ""}, Role: r}
"""
DISTANCES = ("COSINE", "EUCLIDEAN", "DOT_PRODUCT")


@pytest.fixture(scope="module")
def dynamodb(services: Services) -> Any:
    return aws_client("dynamodb", services.endpoint)


def lenient_client(services: Services) -> Any:
    """A client that sends any request, as clients in other languages do."""
    options = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    secrets = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return boto3.client("dynamodb", endpoint_url=services.endpoint, region_name="us-east-1", config=options, **secrets)


def answer_of(failure: pytest.ExceptionInfo[ClientError]) -> dict[str, Any]:
    return dict(failure.value.response)


def numbers(*values: float) -> list[dict[str, str]]:
    return [{"N": repr(value)} for value in values]


def vector_index(name: str = "by-vector", **changes: Any) -> dict[str, Any]:
    return {
        "IndexName": name,
        "VectorAttribute": {"AttributeName": "vector"},
        "Dimensions": 3,
        "DistanceFunction": "COSINE",
        "SearchSchema": [
            {"AttributeName": "owner", "SearchSchemaElementType": "HASH"},
            {"AttributeName": "kind", "SearchSchemaElementType": "INLINE_FILTER"},
            {"AttributeName": "year", "SearchSchemaElementType": "INLINE_FILTER"},
        ],
        "Projection": {"ProjectionType": "ALL"},
        **changes,
    }


def create_table(dynamodb: Any, name: str, *indexes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    table = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [
            {"AttributeName": attribute, "AttributeType": kind}
            for attribute, kind in (("id", "S"), ("owner", "S"), ("kind", "S"), ("year", "N"))
        ],
        "VectorIndexes": list(indexes),
        **changes,
    }
    described: dict[str, Any] = dynamodb.create_table(**table)["TableDescription"]
    return described


def put(dynamodb: Any, table: str, key: str, vector: Any, **attributes: Any) -> None:
    item = {"id": {"S": key}, "owner": {"S": "ann"}, "vector": {"L": numbers(*vector)}, **attributes}
    dynamodb.put_item(TableName=table, Item={name: value for name, value in item.items() if value is not None})


def search(dynamodb: Any, table: str, vector: Any = (1, 0, 0), **changes: Any) -> list[dict[str, Any]]:
    request = {
        "TableName": table,
        "IndexName": "by-vector",
        "SearchVector": numbers(*vector),
        "TopK": 10,
        "SearchConditionExpression": "#owner = :owner",
        "ExpressionAttributeNames": {"#owner": "owner"},
        "ExpressionAttributeValues": {":owner": {"S": "ann"}},
        **changes,
    }
    found: list[dict[str, Any]] = dynamodb.search_vectors(
        **{name: value for name, value in request.items() if value is not None}
    )["SearchResults"]
    return found


def keys(found: list[dict[str, Any]]) -> list[str]:
    return [result["Item"]["id"]["S"] for result in found]


@pytest.fixture(scope="module")
def table(dynamodb: Any) -> str:
    """A table with one item per axis and one between two of them."""
    create_table(dynamodb, "axes", vector_index())
    put(dynamodb, "axes", "x", (2, 0, 0), kind={"S": "note"}, year={"N": "2026"}, deep={"M": {"a": {"S": "b"}}})
    put(dynamodb, "axes", "y", (0, 0.5, 0), kind={"S": "note"}, year={"N": "2025"})
    put(dynamodb, "axes", "xy", (1, 1, 0), kind={"S": "task"}, year={"N": "2026.0"})
    put(dynamodb, "axes", "-x", (-1, 0, 0))
    put(dynamodb, "axes", "another's", (1, 0, 0), owner={"S": "bob"}, kind={"S": "note"})
    put(dynamodb, "axes", "nobody's", (1, 0, 0), owner=None)
    dynamodb.put_item(TableName="axes", Item={"id": {"S": "without"}, "owner": {"S": "ann"}})
    return "axes"


def test_a_table_of_a_template_has_its_vector_index(services: Services, dynamodb: Any, tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE)
    create_resources(load_template(template, {}), services.endpoint)
    item = {"owner": {"S": "ann"}, "id": {"S": "1"}, "kind": {"S": "a"}, "vector": {"L": numbers(0.1, 0, 0)}}
    (tmp_path / "items.json").write_text(json.dumps({"Notes": [{"PutRequest": {"Item": item}}]}))
    seed_tables(tmp_path / "items.json", services.endpoint, {"Notes": "Notes"})
    described = dynamodb.describe_table(TableName="Notes")["Table"]
    (index,) = described["VectorIndexes"]
    assert index.pop("IndexArn") == f"{described['TableArn']}/index/by-meaning"
    assert index == {
        "IndexName": "by-meaning",
        "VectorAttribute": {"AttributeName": "vector"},
        "Dimensions": 3,
        "DistanceFunction": "COSINE",
        "SearchSchema": [
            {"AttributeName": "owner", "SearchSchemaElementType": "HASH"},
            {"AttributeName": "kind", "SearchSchemaElementType": "INLINE_FILTER"},
        ],
        "Projection": {"ProjectionType": "ALL"},
        "IndexStatus": "ACTIVE",
        "IndexSizeBytes": 12,
        "ItemCount": 1,
    }
    assert {entry["AttributeName"] for entry in described["AttributeDefinitions"]} == {"owner", "id", "kind"}
    (found,) = search(dynamodb, "Notes", IndexName="by-meaning")
    assert found == {"Item": {name: value for name, value in item.items() if name != "vector"}, "Score": 0}


@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        ("BillingMode: PAY_PER_REQUEST", "BillingMode: PROVISIONED", "only supported for PAY_PER_REQUEST tables"),
        ("!Ref Dimensions", "many", "'many'"),
    ],
)
def test_a_table_with_a_wrong_index_is_left_out_with_a_sentence(
    services: Services, tmp_path: Path, right: str, wrong: str, reason: str
) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE.replace(right, wrong).replace("Notes:", "Wrong:"))
    stack = load_template(template, {})
    create_resources(stack, services.endpoint)
    (notice,) = [notice for notice in stack.notices if notice.startswith("Wrong is not run: ")]
    assert reason in notice
    assert "Wrong" not in aws_client("dynamodb", services.endpoint).list_tables()["TableNames"]


def test_a_search_returns_the_owners_items_by_their_angle(dynamodb: Any, table: str) -> None:
    found = search(dynamodb, table)
    assert keys(found) == ["x", "xy", "y", "-x"]
    assert [result["Score"] for result in found] == pytest.approx([0, 1 - math.sqrt(0.5), 1, 2])
    assert keys(search(dynamodb, table, TopK=2)) == ["x", "xy"]


@pytest.mark.parametrize(
    ("condition", "values", "expected"),
    [
        ("#owner = :owner AND kind = :kind", {":kind": {"S": "note"}}, ["x", "y"]),
        ("(#owner = :owner and (kind = :kind))", {":kind": {"S": "task"}}, ["xy"]),
        ("#owner=:owner AND year=:year", {":year": {"N": "2026"}}, ["x", "xy"]),
        (
            ":year = year AND kind = :kind AND #owner = :owner",
            {":year": {"N": "2.026E3"}, ":kind": {"S": "note"}},
            ["x"],
        ),
        ("#owner = :owner AND kind = :kind", {":kind": {"S": "none"}}, []),
    ],
)
def test_filters_select_by_equality(dynamodb: Any, table: str, condition: str, values: Any, expected: Any) -> None:
    values = {":owner": {"S": "ann"}, **values}
    found = search(dynamodb, table, SearchConditionExpression=condition, ExpressionAttributeValues=values)
    assert keys(found) == expected


def test_an_unknown_owner_has_no_items(dynamodb: Any, table: str) -> None:
    assert search(dynamodb, table, ExpressionAttributeValues={":owner": {"S": "zoe"}}) == []


INVALID_VECTOR = (
    "Search vector contains invalid values. All values in the search vector must be a 32-bit floating-point number "
    "attribute"
)
CONDITION = "Invalid SearchConditionExpression: "


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"TopK": 101},
            "Provided TopK value '101' is out of valid range. The value must be between 1 and 100 inclusive",
        ),
        ({"IndexName": "another"}, "The table does not have the specified index: another"),
        ({"SearchVector": numbers(1, 2)}, "Input search vector dimension 2 does not match vector index dimension 3"),
        ({"SearchVector": [{"L": numbers(1, 2, 3)}]}, INVALID_VECTOR),
        ({"SearchVector": [*numbers(1, 2), {"S": "3"}]}, INVALID_VECTOR),
        ({"SearchVector": [*numbers(1, 2), {"N": "1e39"}]}, INVALID_VECTOR),
        (
            {
                "SearchConditionExpression": None,
                "ExpressionAttributeNames": None,
                "ExpressionAttributeValues": None,
            },
            "SearchConditionExpression must be provided when SearchSchema has a HASH key",
        ),
        (
            {"SearchConditionExpression": "kind = :owner", "ExpressionAttributeNames": None},
            "SearchConditionExpression must have all HASH attributes in configured SearchSchema",
        ),
        (
            {"SearchConditionExpression": "#owner = :owner AND title = :owner"},
            (
                "SearchConditionExpression must not contain any attributes that is not in SearchSchema. "
                "Invalid attribute: title"
            ),
        ),
        (
            {"ExpressionAttributeValues": {":owner": {"N": "1"}}},
            "Type of 'owner' attribute in SearchConditionExpression (N) does not match type in search schema (S)",
        ),
        (
            {"ExpressionAttributeValues": {":owner": {"S": ""}}},
            (
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
                "empty string value. Key: owner"
            ),
        ),
        (
            {"ExpressionAttributeValues": {":owner": {"S": "ann"}, ":more": {"S": "x"}}},
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:more}",
        ),
        (
            {"ExpressionAttributeNames": {"#owner": "owner", "#more": "x"}},
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#more}",
        ),
        *(
            (
                {"SearchConditionExpression": condition},
                f"{CONDITION}Invalid comparator used in SearchConditionExpression",
            )
            for condition in (
                "#owner < :owner",
                "#owner >= :owner",
                "#owner <> :owner",
                "#owner IN (:owner)",
                "#owner BETWEEN :owner AND :owner",
                "begins_with(#owner, :owner)",
                "NOT #owner = :owner",
                "#owner = :owner OR kind = :owner",
            )
        ),
        (
            {"SearchConditionExpression": "#owner = :owner AND kind.a = :owner"},
            f"{CONDITION}SearchConditionExpression cannot have conditions on nested attributes",
        ),
        (
            {"SearchConditionExpression": "#owner = :owner AND owner = :owner"},
            f"{CONDITION}SearchConditionExpression must only contain one condition per attribute",
        ),
        (
            {"SearchConditionExpression": "#owner = :absent"},
            f"{CONDITION}An expression attribute value used in expression is not defined; attribute value: :absent",
        ),
        (
            {"SearchConditionExpression": "#absent = :owner"},
            (
                f"{CONDITION}An expression attribute name used in the document path is not defined; "
                "attribute name: #absent"
            ),
        ),
        ({"SearchConditionExpression": " "}, f"{CONDITION}The expression can not be empty;"),
        *(
            ({"SearchConditionExpression": condition}, f'{CONDITION}Syntax error; token: "{token}"')
            for condition, token in (
                ("#owner = :owner AND", "<EOF>"),
                ("#owner =", "<EOF>"),
                ("(#owner = :owner", "<EOF>"),
                ("#owner = :owner)", ")"),
                ("#owner = owner", "<EOF>"),
                ("#owner ! :owner", "!"),
                ("#owner = :owner kind = :owner", "kind"),
            )
        ),
    ],
)
def test_a_wrong_search_is_rejected(dynamodb: Any, table: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError) as failure:
        search(dynamodb, table, **changes)
    assert answer_of(failure)["Error"] == {"Code": "ValidationException", "Message": message}


def test_a_search_of_an_unknown_table_is_rejected(dynamodb: Any) -> None:
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        search(dynamodb, "absent")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"TopK": 0}, "'topK'"),
        ({"TopK": -1}, "'topK'"),
        ({"IndexName": "ab"}, "'indexName'"),
        ({"SearchVector": []}, "'searchVector'"),
        ({"SearchVector": numbers(*[0.0] * 4097)}, "'searchVector'"),
        ({"ReturnConsumedCapacity": "ALL"}, "'returnConsumedCapacity'"),
        ({"TopK": None}, "'topK'"),
        ({"SearchVector": None}, "'searchVector'"),
        ({"TableName": None}, "missing field `TableName`"),
    ],
)
def test_members_outside_the_service_model_are_rejected(
    services: Services, table: str, changes: dict[str, Any], expected: str
) -> None:
    client = lenient_client(services)
    with pytest.raises(ClientError, match="ValidationException") as failure:
        search(client, table, **changes)
    assert expected in answer_of(failure)["Error"]["Message"]


def test_consumed_capacity_counts_the_compared_vectors(dynamodb: Any, table: str) -> None:
    request = {
        "TableName": table,
        "IndexName": "by-vector",
        "SearchVector": numbers(1, 0, 0),
        "TopK": 1,
        "SearchConditionExpression": "owner = :owner",
        "ExpressionAttributeValues": {":owner": {"S": "ann"}},
    }
    assert "ConsumedCapacity" not in dynamodb.search_vectors(**request)
    for asked in ("TOTAL", "INDEXES"):
        answer = dynamodb.search_vectors(**request, ReturnConsumedCapacity=asked)
        assert answer["ConsumedCapacity"] == {"VectorSearchRequestBytes": 1024}


# Projections


@pytest.mark.parametrize(
    ("projection", "expected"),
    [
        ({"ProjectionType": "ALL"}, {"id", "owner", "kind", "title", "deep"}),
        ({"ProjectionType": "KEYS_ONLY"}, {"id", "owner", "kind"}),
        ({"ProjectionType": "INCLUDE", "NonKeyAttributes": ["title"]}, {"id", "owner", "kind", "title"}),
    ],
)
def test_a_result_has_what_the_index_projects(dynamodb: Any, projection: Any, expected: set[str]) -> None:
    table = f"projection-{projection['ProjectionType']}"
    create_table(dynamodb, table, vector_index(Projection=projection))
    deep = {"M": {"a": {"S": "b"}, "c": {"S": "d"}}}
    put(dynamodb, table, "1", (0.1, 0, 0), kind={"S": "k"}, title={"S": "t"}, deep=deep)
    assert search(dynamodb, table)[0]["Item"].keys() == expected
    wanted = search(
        dynamodb,
        table,
        ProjectionExpression="id, #v, title, deep.a",
        ExpressionAttributeNames={"#owner": "owner", "#v": "vector"},
    )[0]["Item"]
    assert wanted["id"] == {"S": "1"}
    assert wanted.keys() - {"vector"} == {"id", "title", "deep"} & expected
    if "deep" in expected:
        assert wanted["deep"] == {"M": {"a": {"S": "b"}}}
        # At the index's precision, in its shortest form.
        assert wanted["vector"] == {"L": [{"N": "0.1"}, {"N": "0"}, {"N": "0"}]}


def test_a_projected_vector_has_32_bits(dynamodb: Any) -> None:
    create_table(dynamodb, "precise", vector_index())
    put(dynamodb, "precise", "1", (1 / 3, 1e-40, 16777217))
    options = {"ProjectionExpression": "#v", "ExpressionAttributeNames": {"#owner": "owner", "#v": "vector"}}
    (found,) = search(dynamodb, "precise", **options)
    assert [float(element["N"]) for element in found["Item"]["vector"]["L"]] == pytest.approx([1 / 3, 1e-40, 16777216])
    stored = dynamodb.get_item(TableName="precise", Key={"id": {"S": "1"}})["Item"]["vector"]["L"]
    assert stored == numbers(1 / 3, 1e-40, 16777217)


# Definitions


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (
            {"IndexName": "ab"},
            "'vectorIndexes.1.member.indexName' failed to satisfy constraint: Member must have length",
        ),
        ({"IndexName": "a b c"}, "regular expression pattern"),
        ({"Dimensions": 0}, "'vectorIndexes.1.member.dimensions'"),
        ({"Dimensions": 4097}, "Number of dimensions must be between 1 and 4096 inclusive."),
        ({"DistanceFunction": "MANHATTAN"}, "Member must satisfy enum value set: [COSINE, DOT_PRODUCT, EUCLIDEAN]"),
        ({"VectorAttribute": {"AttributeName": ""}}, "'vectorIndexes.1.member.vectorAttribute.attributeName'"),
        ({"Projection": {"ProjectionType": "SOME"}}, "Member must satisfy enum value set: [ALL, KEYS_ONLY, INCLUDE]"),
        ({"Projection": {}}, "Unknown ProjectionType: null"),
        ({"Projection": {"ProjectionType": "INCLUDE"}}, "NonKeyAttributes is not specified"),
        ({"Projection": {"ProjectionType": "ALL", "NonKeyAttributes": ["a"]}}, "NonKeyAttributes is specified"),
        (
            {"SearchSchema": [{"AttributeName": "absent", "SearchSchemaElementType": "HASH"}]},
            "One element in SearchSchema is not defined in attribute definitions",
        ),
        (
            {"SearchSchema": [{"AttributeName": "owner", "SearchSchemaElementType": "RANGE"}]},
            "Member must satisfy enum value set: [HASH, INLINE_FILTER]",
        ),
        (
            {
                "SearchSchema": [
                    {"AttributeName": name, "SearchSchemaElementType": "HASH"} for name in ("owner", "kind", "year")
                ]
            },
            "at most one HASH element",
        ),
        (
            {"SearchSchema": [{"AttributeName": "owner", "SearchSchemaElementType": "HASH"}] * 2},
            "must not contain an attribute twice",
        ),
        (
            {
                "SearchSchema": [
                    {"AttributeName": f"a{number}", "SearchSchemaElementType": "INLINE_FILTER"} for number in range(19)
                ]
            },
            "at most 18 INLINE_FILTER elements",
        ),
    ],
)
def test_a_wrong_index_is_rejected(services: Services, index: dict[str, Any], message: str) -> None:
    client = lenient_client(services)
    with pytest.raises(client.exceptions.ClientError) as failure:
        create_table(client, "never", vector_index(**index))
    assert answer_of(failure)["Error"]["Code"] == "ValidationException"
    assert message in answer_of(failure)["Error"]["Message"]
    assert "never" not in client.list_tables()["TableNames"]


@pytest.mark.parametrize(
    ("indexes", "changes", "message"),
    [
        (
            [vector_index()],
            {
                "BillingMode": "PROVISIONED",
                "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
            },
            "Vector indexes are only supported for PAY_PER_REQUEST tables",
        ),
        (
            [vector_index(f"index-{number}") for number in range(6)],
            {},
            "VectorIndex count exceeds the per-table limit of 5",
        ),
        ([vector_index(), vector_index()], {}, "Duplicate index name: by-vector"),
        (
            [vector_index(), vector_index("other", Dimensions=4)],
            {},
            (
                "Conflicting attribute definition for 'vector'. All VectorIndexes on the same vector attribute must "
                "use the same dimensions."
            ),
        ),
    ],
)
def test_wrong_tables_are_rejected(dynamodb: Any, indexes: Any, changes: Any, message: str) -> None:
    with pytest.raises(ClientError) as failure:
        create_table(dynamodb, "never", *indexes, **changes)
    assert answer_of(failure)["Error"] == {
        "Code": "ValidationException",
        "Message": f"One or more parameter values were invalid: {message}",
    }


def test_attributes_of_no_key_and_no_search_schema_are_still_rejected(dynamodb: Any) -> None:
    index = vector_index(SearchSchema=[{"AttributeName": "owner", "SearchSchemaElementType": "HASH"}])
    with pytest.raises(ClientError, match="AttributeDefinitions"):
        create_table(dynamodb, "never", index)


def test_five_indexes_of_different_distances_share_an_attribute(dynamodb: Any) -> None:
    definitions = [vector_index(name, DistanceFunction=name) for name in DISTANCES]
    create_table(dynamodb, "five", *definitions, vector_index("fourth"), vector_index("fifth"))
    put(dynamodb, "five", "long", (9, 0.5, 0))
    put(dynamodb, "five", "short", (1, 0, 0))
    nearest = {name: keys(search(dynamodb, "five", IndexName=name)) for name in (*DISTANCES, "fifth")}
    assert nearest == {
        "COSINE": ["short", "long"],
        "EUCLIDEAN": ["short", "long"],
        "DOT_PRODUCT": ["long", "short"],
        "fifth": ["short", "long"],
    }


def test_an_index_can_be_added_and_deleted(dynamodb: Any) -> None:
    create_table(
        dynamodb, "later", AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}], VectorIndexes=[]
    )
    put(dynamodb, "later", "1", (1, 0, 0))
    attributes = [{"AttributeName": "owner", "AttributeType": "S"}]
    schema = [{"AttributeName": "owner", "SearchSchemaElementType": "HASH"}]
    create = {"Create": vector_index(SearchSchema=schema)}
    with pytest.raises(ClientError, match="not defined in attribute definitions"):
        dynamodb.update_table(TableName="later", VectorIndexUpdates=[create])
    changed = dynamodb.update_table(TableName="later", AttributeDefinitions=attributes, VectorIndexUpdates=[create])
    assert changed["TableDescription"]["VectorIndexes"][0]["IndexStatus"] == "ACTIVE"
    assert keys(search(dynamodb, "later")) == ["1"]
    with pytest.raises(ClientError, match="Duplicate"):
        dynamodb.update_table(TableName="later", AttributeDefinitions=attributes, VectorIndexUpdates=[create])
    with pytest.raises(ClientError, match="LimitExceeded"):
        dynamodb.update_table(TableName="later", VectorIndexUpdates=[create, create])
    throughput = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    with pytest.raises(ClientError, match="PAY_PER_REQUEST"):
        dynamodb.update_table(TableName="later", BillingMode="PROVISIONED", ProvisionedThroughput=throughput)
    delete = {"Delete": {"IndexName": "by-vector"}}
    assert (
        "VectorIndexes" not in dynamodb.update_table(TableName="later", VectorIndexUpdates=[delete])["TableDescription"]
    )
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.update_table(TableName="later", VectorIndexUpdates=[delete])
    with pytest.raises(ClientError, match="does not have the specified index"):
        search(dynamodb, "later")


# Writes

SIZE = (
    "One or more parameter values were invalid. Invalid size for parameter vector, Expected: 3, Actual: 2 "
    "IndexName: by-vector"
)
TYPE = "One or more parameter values were invalid. Invalid type for parameter vector"
BAD_ITEMS = [
    ({"vector": {"L": numbers(1, 2)}}, SIZE),
    ({"vector": {"S": "text"}}, f"{TYPE}, Expected: 32-bit floating point number list IndexName: by-vector"),
    ({"vector": {"NS": ["1", "2", "3"]}}, f"{TYPE}, Expected: 32-bit floating point number list IndexName: by-vector"),
    (
        {"vector": {"L": [{"N": "1"}, {"S": "x"}, {"N": "0"}]}},
        f"{TYPE}[1], Expected: 32-bit floating point number, Actual: S. IndexName: by-vector",
    ),
    (
        {"vector": {"L": [{"N": "1"}, {"N": "0"}, {"N": "1e39"}]}},
        f"{TYPE}[2], Expected: 32-bit floating point number, Actual: N. IndexName: by-vector",
    ),
    (
        {"kind": {"S": ""}},
        (
            "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
            "The AttributeValue for a key attribute cannot contain an empty string value. "
            "IndexName: by-vector, IndexKey: kind"
        ),
    ),
    (
        {"year": {"S": "2026"}},
        (
            "One or more parameter values were invalid: Type mismatch for Index Key year Expected: N Actual: S "
            "IndexName: by-vector"
        ),
    ),
]


@pytest.mark.parametrize(("attributes", "message"), BAD_ITEMS)
@pytest.mark.parametrize("way", ["put", "update", "batch", "transaction", "transaction-update"])
def test_an_item_that_an_index_cannot_have_is_rejected(
    dynamodb: Any, way: str, attributes: dict[str, Any], message: str
) -> None:
    table = f"strict-{way}"
    if table not in dynamodb.list_tables()["TableNames"]:
        streams = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        create_table(dynamodb, table, vector_index(), StreamSpecification=streams)
        put(dynamodb, table, "old", (1, 0, 0))
    good = {"id": {"S": "good"}, "owner": {"S": "ann"}}
    bad = {"id": {"S": "old"}, "owner": {"S": "ann"}, "vector": {"L": numbers(0, 1, 0)}, **attributes}
    update = {
        "Key": {"id": {"S": "old"}},
        "UpdateExpression": "SET " + ", ".join(f"#{name} = :{name}" for name in attributes),
        "ExpressionAttributeNames": {f"#{name}": name for name in attributes},
        "ExpressionAttributeValues": {f":{name}": value for name, value in attributes.items()},
    }
    good_put = {"Put": {"TableName": table, "Item": good}}
    puts = [{"PutRequest": {"Item": item}} for item in (good, bad)]
    ways = {
        "put": lambda: dynamodb.put_item(TableName=table, Item=bad),
        "update": lambda: dynamodb.update_item(TableName=table, **update),
        "batch": lambda: dynamodb.batch_write_item(RequestItems={table: puts}),
        "transaction": lambda: dynamodb.transact_write_items(
            TransactItems=[good_put, {"Put": {"TableName": table, "Item": bad}}]
        ),
        "transaction-update": lambda: dynamodb.transact_write_items(
            TransactItems=[good_put, {"Update": {"TableName": table, **update}}]
        ),
    }
    before = dynamodb.scan(TableName=table)["Items"]
    with pytest.raises(ClientError) as failure:
        ways[way]()
    response = answer_of(failure)
    if way.startswith("transaction"):
        assert response["Error"]["Code"] == "TransactionCanceledException"
        assert response["CancellationReasons"][1] == {"Code": "ValidationError", "Message": message}
    else:
        assert response["Error"] == {"Code": "ValidationException", "Message": message}
    assert dynamodb.scan(TableName=table)["Items"] == before
    assert [(result["Item"]["id"]["S"], result["Score"]) for result in search(dynamodb, table)] == [("old", 0)]


# A model: what a search by hand over the table's items finds.


def single(value: float) -> float:
    number: float = struct.unpack("f", struct.pack("f", value))[0]
    return number


def score(distance: str, one: list[float], other: list[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    if distance == "DOT_PRODUCT":
        return product
    if distance == "EUCLIDEAN":
        return math.sqrt(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)))
    lengths = math.sqrt(sum(a * a for a in one)) * math.sqrt(sum(b * b for b in other))
    if not lengths:
        return 1 if any(one) or any(other) else 0
    return 1 - product / lengths


def find_by_hand(
    items: list[dict[str, Any]], distance: str, vector: list[float], owner: str | None, conditions: dict[str, Any]
) -> dict[str, float]:
    found = {}
    for item in items:
        if "vector" not in item or (owner is not None and item.get("owner") != {"S": owner}):
            continue
        if all(
            name in item
            and ("N" in value) == ("N" in item[name])
            and (Decimal(item[name]["N"]) == Decimal(value["N"]) if "N" in value else item[name] == value)
            for name, value in conditions.items()
        ):
            stored = [single(float(element["N"])) for element in item["vector"]["L"]]
            found[item["id"]["S"]] = score(distance, [single(value) for value in vector], stored)
    return found


coordinates = st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.25, -3.0, 1e-3, 100.0])
vectors = st.lists(coordinates, min_size=3, max_size=3)
owners = st.sampled_from(["ann", "bob"])
kinds = st.sampled_from(["note", "task"])
years = st.sampled_from(["2025", "2026", "2026.0", "2.026e3"])
identifiers = st.sampled_from("abcdefgh")
writes = st.one_of(
    st.tuples(
        st.sampled_from(["put", "batch", "transact"]),
        identifiers,
        st.fixed_dictionaries({}, optional={"vector": vectors, "owner": owners, "kind": kinds, "year": years}),
    ),
    st.tuples(st.just("delete"), identifiers, st.none()),
    st.tuples(
        st.just("set"), identifiers, st.tuples(st.sampled_from(["owner", "kind"]), st.sampled_from(["ann", "bob"]))
    ),
    st.tuples(st.just("remove"), identifiers, st.sampled_from(["owner", "kind", "year", "vector"])),
    st.tuples(st.just("coordinate"), identifiers, st.tuples(st.integers(0, 2), coordinates)),
    st.tuples(st.just("cancelled"), identifiers, vectors),
    st.tuples(st.just("statement"), identifiers, st.none()),
)


def wire_item(key: str, attributes: dict[str, Any]) -> dict[str, Any]:
    item: dict[str, Any] = {"id": {"S": key}}
    for name, value in attributes.items():
        item[name] = {"L": numbers(*value)} if name == "vector" else {"N" if name == "year" else "S": value}
    return item


def write(dynamodb: Any, table: str, kind: str, key: str, detail: Any) -> None:
    where = {"TableName": table, "Key": {"id": {"S": key}}}
    if kind == "put":
        dynamodb.put_item(TableName=table, Item=wire_item(key, detail))
    elif kind == "batch":
        dynamodb.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": wire_item(key, detail)}}]})
    elif kind == "transact":
        operations = [
            {"Put": {"TableName": table, "Item": wire_item(key, detail)}},
            {"Delete": {"TableName": table, "Key": {"id": {"S": "a" if key != "a" else "b"}}}},
        ]
        dynamodb.transact_write_items(TransactItems=operations)
    elif kind == "delete":
        dynamodb.delete_item(**where)
    elif kind == "set":
        name, value = detail
        dynamodb.update_item(
            **where,
            UpdateExpression="SET #n = :v",
            ExpressionAttributeNames={"#n": name},
            ExpressionAttributeValues={":v": {"S": value}},
        )
    elif kind == "remove":
        dynamodb.update_item(**where, UpdateExpression="REMOVE #n", ExpressionAttributeNames={"#n": detail})
    elif kind == "coordinate":
        place, value = detail
        if "vector" in dynamodb.get_item(**where).get("Item", {}):
            dynamodb.update_item(
                **where,
                UpdateExpression=f"SET vector[{place}] = :v",
                ExpressionAttributeValues={":v": {"N": repr(value)}},
            )
    elif kind == "cancelled":
        item = wire_item(key, {"vector": detail, "owner": "ann"})
        absent = {"ConditionExpression": "attribute_exists(id)", "Key": {"id": {"S": "absent"}}}
        operations = [
            {"Put": {"TableName": table, "Item": item}},
            {"ConditionCheck": {"TableName": table, **absent}},
        ]
        with pytest.raises(ClientError, match="TransactionCanceled"):
            dynamodb.transact_write_items(TransactItems=operations)
    else:
        dynamodb.execute_statement(Statement=f"DELETE FROM \"{table}\" WHERE id = '{key}'")


@pytest.mark.parametrize(("distance", "partitioned"), [*((name, True) for name in DISTANCES), ("COSINE", False)])
def test_searches_find_what_a_search_by_hand_finds(dynamodb: Any, distance: str, partitioned: bool) -> None:
    table = f"model-{distance}-{partitioned}"
    index = vector_index(DistanceFunction=distance)
    if not partitioned:
        index["SearchSchema"] = [{**index["SearchSchema"][0], "SearchSchemaElementType": "INLINE_FILTER"}]
        index["SearchSchema"] += vector_index()["SearchSchema"][1:]
    create_table(dynamodb, table, index)

    @settings(max_examples=25)
    @given(
        st.lists(vectors, min_size=6, max_size=6),
        st.lists(writes, min_size=1, max_size=6),
        vectors,
        owners,
        st.sampled_from([None, None, "note"]),
        st.sampled_from([None, None, "2026"]),
        st.integers(2, 9),
    )
    def check(
        first: list[list[float]],
        changes: list[Any],
        vector: list[float],
        owner: str,
        kind: str | None,
        year: str | None,
        top: int,
    ) -> None:
        puts = []
        for place, initial in enumerate(first):
            kind_of = "note" if place % 2 else "task"
            attributes = {"owner": "bob" if place > 3 else "ann", "kind": kind_of, "year": "2026", "vector": initial}
            puts.append({"PutRequest": {"Item": wire_item("abcdef"[place], attributes)}})
        dynamodb.batch_write_item(RequestItems={table: puts})
        for change in changes:
            write(dynamodb, table, *change)
        conditions: dict[str, Any] = {}
        if kind is not None:
            conditions["kind"] = {"S": kind}
        if year is not None:
            conditions["year"] = {"N": year}
        items = dynamodb.scan(TableName=table)["Items"]
        expected = find_by_hand(items, distance, vector, owner if partitioned else None, conditions)
        named = {**({"owner": {"S": owner}} if partitioned else {}), **conditions}
        found = search(
            dynamodb,
            table,
            vector,
            TopK=top,
            SearchConditionExpression=" AND ".join(f"#{name} = :{name}" for name in named) or None,
            ExpressionAttributeNames={f"#{name}": name for name in named} or None,
            ExpressionAttributeValues={f":{name}": value for name, value in named.items()} or None,
        )
        best = sorted(expected.values(), reverse=distance == "DOT_PRODUCT")[:top]
        # Items with equal scores may come in any order.
        assert [result["Score"] for result in found] == pytest.approx(best, abs=1e-6)
        assert len(set(keys(found))) == len(found)
        for result in found:
            assert result["Score"] == pytest.approx(expected[result["Item"]["id"]["S"]], abs=1e-6)
            stored = next(item for item in items if item["id"] == result["Item"]["id"])
            assert result["Item"] == {name: value for name, value in stored.items() if name != "vector"}
        counted = dynamodb.describe_table(TableName=table)["Table"]["VectorIndexes"][0]["ItemCount"]
        assert counted == sum("vector" in item and (not partitioned or "owner" in item) for item in items)

    check()
