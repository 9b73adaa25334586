"""DynamoDB's SearchVectors.

Sources: "SearchVectors" in the Amazon DynamoDB API Reference, "Creating and searching vector indexes" and
"Troubleshooting vector indexes" in the Developer Guide, and the service model in botocore.
"""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from moto.dynamodb.exceptions import MockValidationException
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import ProjectionExpressionParser, validate_attributes_used

from local_engine.services.vector_definitions import LARGEST_DIMENSIONS, VectorDefinition
from local_engine.services.vector_index import Entry, TableVectors, Vector, comparable, read_floats

LARGEST_TOP_K = 100
LARGEST_RESPONSE = 16 * 1024 * 1024
"""Bytes of a response."""
_LEAST_BILLED = 1024
_CONDITION = "Invalid SearchConditionExpression: "
_TOKEN = re.compile(r"\s*(?:(?P<word>[#:]?[A-Za-z0-9_\-]+)|(?P<symbol><>|<=|>=|[=<>().,\[\]]))")
_COMPARATORS = ("<", ">", "<=", ">=", "<>")
_OTHER_WORDS = ("OR", "NOT", "IN", "BETWEEN")


def search_vectors(request: Mapping[str, Any], table: Table, vectors: TableVectors | None) -> dict[str, Any]:
    """Answer a request.

    Args:
        request: the request's members.
        table: the table.
        vectors: its vector indexes.

    Raises:
        MockValidationException: the service would reject the request.
    """
    top = request["TopK"]
    if top > LARGEST_TOP_K:
        raise MockValidationException(
            f"Provided TopK value '{top}' is out of valid range. "
            f"The value must be between 1 and {LARGEST_TOP_K} inclusive"
        )
    index = vectors.indexes.get(request["IndexName"]) if vectors else None
    if index is None:
        raise MockValidationException(f"The table does not have the specified index: {request['IndexName']}")
    definition = index.definition
    names: Mapping[str, str] = request.get("ExpressionAttributeNames") or {}
    values: Mapping[str, Any] = request.get("ExpressionAttributeValues") or {}
    vector = _read_search_vector(request["SearchVector"], definition)
    condition = _Condition(request.get("SearchConditionExpression"), names, values)
    _check_condition(condition, definition, {entry["AttributeName"]: entry["AttributeType"] for entry in table.attr})
    projection = ProjectionExpressionParser(request.get("ProjectionExpression"), dict(names))
    paths = projection.parse()
    validate_attributes_used(dict(names), [*condition.names_used, *projection.expr_attr_names_found], "Names", False)
    validate_attributes_used(dict(values), condition.values_used, "Values", False)

    filters = {name: comparable(value) for name, value in condition.terms.items()}
    partition: Hashable = filters.pop(definition.hash_attribute) if definition.hash_attribute else None
    found, compared = index.search(vector, top, partition, filters)
    items = [_project(entry, definition, table, paths) for _, entry in found]
    if sum(len(name) + value.size() for item in items for name, value in item.items()) > LARGEST_RESPONSE:
        raise MockValidationException(f"The response exceeds the limit of {LARGEST_RESPONSE} bytes")
    answer: dict[str, Any] = {
        "SearchResults": [{"Item": item, "Score": score} for (score, _), item in zip(found, items, strict=True)]
    }
    if request.get("ReturnConsumedCapacity", "NONE") != "NONE":
        examined = 4 * definition.dimensions * compared
        answer["ConsumedCapacity"] = {"VectorSearchRequestBytes": float(max(_LEAST_BILLED, examined))}
    return answer


def check_request(request: Mapping[str, Any]) -> None:
    """Check the members of a request alone, as the service model states them.

    Raises:
        MockValidationException: a member is missing or out of its bounds.
    """
    for name in ("TableName", "IndexName", "SearchVector", "TopK"):
        if name not in request:
            member = name[0].lower() + name[1:]
            raise (
                _invalid("null", member, "Member must not be null")
                if name != "TableName"
                else (MockValidationException("missing field `TableName`"))
            )
    index_name = request["IndexName"]
    if len(index_name) < 3:
        raise _invalid(f"'{index_name}'", "indexName", "Member must have length greater than or equal to 3")
    if request["TopK"] < 1:
        raise _invalid(f"'{request['TopK']}'", "topK", "Member must have value greater than or equal to 1")
    length = len(request["SearchVector"])
    if not 1 <= length <= LARGEST_DIMENSIONS:
        bound = f"less than or equal to {LARGEST_DIMENSIONS}" if length else "greater than or equal to 1"
        raise _invalid("'[]'" if not length else "", "searchVector", f"Member must have length {bound}")
    capacity = request.get("ReturnConsumedCapacity", "NONE")
    if capacity not in ("INDEXES", "TOTAL", "NONE"):
        rule = "Member must satisfy enum value set: [INDEXES, TOTAL, NONE]"
        raise _invalid(f"'{capacity}'", "returnConsumedCapacity", rule)


def _invalid(value: str, member: str, rule: str) -> MockValidationException:
    shown = f"Value {value}" if value else "Value"
    return MockValidationException(
        f"1 validation error detected: {shown} at '{member}' failed to satisfy constraint: {rule}"
    )


def _read_search_vector(elements: Sequence[Mapping[str, Any]], definition: VectorDefinition) -> Vector:
    vector = None
    if all(list(element) == ["N"] for element in elements):
        vector = read_floats([element["N"] for element in elements])
    if vector is None:
        raise MockValidationException(
            "Search vector contains invalid values. All values in the search vector must be a 32-bit floating-point "
            "number attribute"
        )
    if len(vector) != definition.dimensions:
        raise MockValidationException(
            f"Input search vector dimension {len(vector)} does not match vector index dimension {definition.dimensions}"
        )
    return vector


class _Condition:
    """A SearchConditionExpression: equality conditions joined by AND, with parentheses."""

    def __init__(self, expression: str | None, names: Mapping[str, str], values: Mapping[str, Any]) -> None:
        self.terms: dict[str, DynamoType] = {}
        self.is_absent = expression is None
        self.names_used: list[str] = []
        self.values_used: list[str] = []
        self._names, self._values = names, values
        if expression is None:
            return
        if not expression.strip():
            raise MockValidationException(f"{_CONDITION}The expression can not be empty;")
        self._tokens = [*_split(expression), ""]
        self._read_conditions()
        if self._tokens[0]:
            raise self._syntax_error()

    def _read_conditions(self) -> None:
        while True:
            if self._tokens[0] == "(":
                self._take()
                self._read_conditions()
                if self._take() != ")":
                    raise self._syntax_error()
            else:
                self._read_equality()
            if self._tokens[0].upper() in _OTHER_WORDS:
                raise _wrong_comparator()
            if self._tokens[0].upper() != "AND":
                return
            self._take()

    def _read_equality(self) -> None:
        left = self._take()
        if left.upper() in _OTHER_WORDS or self._tokens[0].upper() in _OTHER_WORDS or self._tokens[0] == "(":
            raise _wrong_comparator()
        if self._tokens[0] in (".", "["):
            raise MockValidationException(
                f"{_CONDITION}SearchConditionExpression cannot have conditions on nested attributes"
            )
        comparator, right = self._take(), self._take()
        if comparator in _COMPARATORS:
            raise _wrong_comparator()
        if left.startswith(":"):
            left, right = right, left
        if comparator != "=" or not right.startswith(":") or not re.match(r"[#A-Za-z_0-9]", left):
            raise self._syntax_error()
        name = self._resolve_name(left)
        if right not in self._values:
            raise MockValidationException(
                f"{_CONDITION}An expression attribute value used in expression is not defined; attribute value: {right}"
            )
        self.values_used.append(right)
        if name in self.terms:
            raise MockValidationException(
                f"{_CONDITION}SearchConditionExpression must only contain one condition per attribute"
            )
        self.terms[name] = DynamoType(self._values[right])

    def _resolve_name(self, word: str) -> str:
        if not word.startswith("#"):
            return word
        if word not in self._names:
            raise MockValidationException(
                f"{_CONDITION}An expression attribute name used in the document path is not defined; "
                f"attribute name: {word}"
            )
        self.names_used.append(word)
        return self._names[word]

    def _take(self) -> str:
        # The empty token at the end stays.
        return self._tokens.pop(0) if len(self._tokens) > 1 else ""

    def _syntax_error(self) -> MockValidationException:
        token = self._tokens[0] or "<EOF>"
        return MockValidationException(f'{_CONDITION}Syntax error; token: "{token}"')


def _split(expression: str) -> Iterator[str]:
    position = 0
    text = expression.rstrip()
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise MockValidationException(f'{_CONDITION}Syntax error; token: "{text[position:].strip()[:1]}"')
        position = token.end()
        yield token["word"] or token["symbol"]


def _wrong_comparator() -> MockValidationException:
    return MockValidationException(f"{_CONDITION}Invalid comparator used in SearchConditionExpression")


def _check_condition(condition: _Condition, definition: VectorDefinition, types: Mapping[str, str]) -> None:
    if condition.is_absent and definition.hash_attribute:
        raise MockValidationException("SearchConditionExpression must be provided when SearchSchema has a HASH key")
    for name, value in condition.terms.items():
        if name not in definition.search_attributes:
            raise MockValidationException(
                "SearchConditionExpression must not contain any attributes that is not in SearchSchema. "
                f"Invalid attribute: {name}"
            )
        if value.type != types[name]:
            raise MockValidationException(
                f"Type of '{name}' attribute in SearchConditionExpression ({value.type}) "
                f"does not match type in search schema ({types[name]})"
            )
    if definition.hash_attribute and definition.hash_attribute not in condition.terms:
        raise MockValidationException(
            "SearchConditionExpression must have all HASH attributes in configured SearchSchema"
        )
    if definition.hash_attribute and condition.terms[definition.hash_attribute].value == "":
        raise MockValidationException(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
            f"empty string value. Key: {definition.hash_attribute}"
        )


def _project(
    entry: Entry, definition: VectorDefinition, table: Table, paths: Sequence[list[str]]
) -> dict[str, DynamoType]:
    """Return the attributes of an item that the index has and the request wants.

    The vector is among them only if the request names it, and then as the index has it.
    """
    projected = {
        name: value for name, value in entry.item.attrs.items() if definition.projects(name, table.table_key_attrs)
    }
    if not paths:
        projected.pop(definition.attribute, None)
        return projected
    names = {path[0].partition("[")[0] for path in paths}
    projected = {name: value for name, value in projected.items() if name in names}
    if definition.attribute in projected:
        projected[definition.attribute] = DynamoType({"L": [{"N": _shortest_text(value)} for value in entry.vector]})
    if all(len(path) == 1 and "[" not in path[0] for path in paths):
        return projected
    # Moto's own way for nested paths.
    copied: Any = Item(entry.item.hash_key, entry.item.range_key, projected)
    return dict(copied.project([list(path) for path in paths]).attrs)


def _shortest_text(value: float) -> str:
    """Return the shortest decimal number that is this one at 32-bit precision."""
    texts = (f"{value:.{digits}g}" for digits in range(1, 10))
    return next(text for text in texts if read_floats([text]) == (value,))
