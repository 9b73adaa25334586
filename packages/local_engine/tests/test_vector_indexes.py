"""DynamoDB vector indexes: SearchVectors finds what a brute-force search finds, and rejects what DynamoDB rejects."""

import math
import struct
from collections.abc import Iterator
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

from local_engine.services.aws_services import Services, ServicesError, create_resources, seed_tables, start_services
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
def services() -> Iterator[Services]:
    services = start_services()
    try:
        yield services
    finally:
        services.stop()


@pytest.fixture(scope="module")
def dynamodb(services: Services) -> Any:
    return aws_client("dynamodb", services.endpoint)


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
    (tmp_path / "items.json").write_text('{"Notes": [{"PutRequest": {"Item": %s}}]}' % str(item).replace("'", '"'))
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


def test_a_template_with_a_wrong_index_is_refused_in_a_sentence(services: Services, tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE.replace("BillingMode: PAY_PER_REQUEST", "BillingMode: PROVISIONED"))
    with pytest.raises(ServicesError, match="PROVISIONED"):
        create_resources(load_template(template, {}), services.endpoint)
    template.write_text(TEMPLATE.replace("!Ref Dimensions", "many"))
    stack = load_template(template, {})
    create_resources(stack, services.endpoint)
    assert any("Notes" in notice and "many" in notice for notice in stack.notices)


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
        (":year = year AND kind = :kind AND #owner = :owner", {":year": {"N": "2.026E3"}, ":kind": {"S": "note"}}, ["x"]),
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
        ({"TopK": 101}, "Provided TopK value '101' is out of valid range. The value must be between 1 and 100 inclusive"),
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
            "SearchConditionExpression must not contain any attributes that is not in SearchSchema. "
            "Invalid attribute: title",
        ),
        (
            {"ExpressionAttributeValues": {":owner": {"N": "1"}}},
            "Type of 'owner' attribute in SearchConditionExpression (N) does not match type in search schema (S)",
        ),
        (
            {"ExpressionAttributeValues": {":owner": {"S": ""}}},
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
            "empty string value. Key: owner",
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
            f"{CONDITION}An expression attribute name used in the document path is not defined; "
            "attribute name: #absent",
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
    assert failure.value.response["Error"] == {"Code": "ValidationException", "Message": message}


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
    options = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    client = boto3.client(
        "dynamodb", endpoint_url=services.endpoint, region_name="us-east-1", config=options, **keys
    )
    with pytest.raises(ClientError, match="ValidationException") as failure:
        search(client, table, **changes)
    assert expected in failure.value.response["Error"]["Message"]
