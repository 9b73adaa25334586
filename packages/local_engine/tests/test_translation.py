"""The kept result of SAM's translator: when it is used, and when it is made anew."""

from pathlib import Path

import pytest

from local_engine.template import load_template, translation
from local_engine.template.stack import HttpApi

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Issuer: {Type: String}
  Alias: {Type: String, Default: live}
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        Authorizers: {Tokens: {IdentitySource: $request.header.Authorization, JwtConfiguration: {issuer: !Ref Issuer}}}
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: 'def handler(event, context): return 1'
      Handler: index.handler
      Runtime: python3.13
      AutoPublishAlias: !Ref Alias
      Environment: {Variables: {ISSUER: !Ref Issuer}}
      Events:
        Any: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /, Method: get}}
"""


class Translated(Exception):
    """SAM's translator is about to run."""


def refuse_translation(*_: object) -> None:
    raise Translated


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A template that was loaded once. Another translation raises an error."""
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    load_template(path, {"Issuer": "http://127.0.0.1:3000/issuer"})
    monkeypatch.setattr(translation, "_translate_parts", refuse_translation)
    return path


def test_another_port_needs_no_translation(template: Path) -> None:
    issuer = "http://127.0.0.1:3001/issuer"
    stack = load_template(template, {"Issuer": issuer})
    assert stack.functions["Hello"].environment["ISSUER"] == issuer
    (api,) = stack.apis
    assert isinstance(api, HttpApi)
    (scheme,) = api.document["components"]["securitySchemes"].values()
    assert scheme["x-amazon-apigateway-authorizer"]["jwtConfiguration"]["issuer"] == issuer


def test_what_the_translator_reads_is_translated_again(template: Path) -> None:
    with pytest.raises(Translated):
        load_template(template, {"Issuer": "http://127.0.0.1:3000/issuer", "Alias": "other"})


def test_an_edit_is_translated(template: Path) -> None:
    template.write_text(TEMPLATE.replace("Path: /", "Path: /other"))
    with pytest.raises(Translated):
        load_template(template, {"Issuer": "http://127.0.0.1:3000/issuer"})


def test_another_translator_translates(template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samtranslator.__version__", "0")
    with pytest.raises(Translated):
        load_template(template, {"Issuer": "http://127.0.0.1:3000/issuer"})
