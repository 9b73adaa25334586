"""A function that embeds, searches and converses, as it would with Amazon Bedrock and DynamoDB."""

import pytest
from conftest import STACKS, aws_client

from local_engine.testing import EngineProcess, run_engine

TEMPLATE = STACKS / "assistant" / "template.yaml"
NOTES = (
    "The library opens at nine on weekdays. It has three floors.",
    "Cars need a permit from the town. Bicycles do not.",
    "My sister's birthday is on the second of May.",
)


@pytest.mark.parametrize(
    ("model", "question", "answer"),
    [
        ("hashing", "When does the library open on weekdays?", "The library opens at nine on weekdays. [1]"),
        # The texts share no word, so only a model of meaning finds the note.
        ("small-embeddings", "Which vehicles require permission?", None),
    ],
)
def test_a_question_is_answered_from_the_nearest_notes(model: str, question: str, answer: str | None) -> None:
    with EngineProcess(TEMPLATE, "--model", model) as engine, engine.client() as client:
        for text in NOTES:
            assert client.post("/notes", content=text, headers={"content-type": "text/plain"}).status_code == 201
        body = client.get("/answer", params={"question": question}).json()
        assert body["sources"][0] == NOTES[0 if answer else 1]
        if answer:
            assert body["answer"] == answer
            assert body["words"] == len(answer.split())
        dynamodb = aws_client("dynamodb", engine.services)
        assert dynamodb.describe_table(TableName="Notes")["Table"]["VectorIndexes"][0]["ItemCount"] == len(NOTES)


@pytest.mark.parametrize("command", ["run", "backend"])
def test_an_unknown_model_is_refused_in_a_sentence(command: str) -> None:
    ended = run_engine(command, "--template", str(TEMPLATE), "--model", "large")
    assert ended.returncode == 2
    assert ended.stderr.startswith("--model: 'large' is not a model; choose hashing, small-embeddings, small. See: ")


def test_a_model_without_its_packages_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from local_engine.bedrock.local_model import ModelUnavailableError, load_model

    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ModelUnavailableError, match="pip install 'local-engine"):
        load_model("small-embeddings")
