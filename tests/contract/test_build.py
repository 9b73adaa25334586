"""What `sam build` makes of the template."""

from tests.support.stack import ROOT


def test_the_layer_holds_the_package_with_the_models_as_files(build):
    package = build / "SharedLayer" / "python" / "serverless_api"
    assert (
        package.joinpath("endpoint.py").read_bytes() == (ROOT / "layers/shared/serverless_api/endpoint.py").read_bytes()
    )
    models = package / "models"
    assert not models.is_symlink()
    for model in (ROOT / "models").glob("*.json"):
        built = models / model.name
        assert built.read_bytes() == model.read_bytes()
        assert not built.is_symlink()


def test_the_layer_holds_no_sdk_and_nothing_slow(build):
    packages = {path.name for path in (build / "SharedLayer" / "python").iterdir()}
    assert "aws_lambda_powertools" in packages
    assert not packages & {"boto3", "botocore", "s3transfer", "pydantic", "aws_xray_sdk", "local", "tests", "functions"}


def test_the_hook_holds_the_fixtures_as_files(build):
    fixtures = {path.name: path.read_bytes() for path in (ROOT / "events").glob("*.json")}
    built = list((build / "VerifyVersions/events").iterdir())
    assert {path.name: path.read_bytes() for path in built} == fixtures
    assert not [path for path in built if path.is_symlink()]


def test_a_function_holds_its_handler_alone(build):
    for folder in (ROOT / "functions").iterdir():
        if folder.joinpath("app.py").exists():
            name = "".join(part.capitalize() for part in folder.name.split("_"))
            files = {path.name for path in (build / name).rglob("*") if path.is_file() and path.suffix != ".pyc"}
            # One function has the event fixtures beside it.
            assert files <= {"app.py", "requirements.txt"} | {path.name for path in folder.glob("events/*.json")}
