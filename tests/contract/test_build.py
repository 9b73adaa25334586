"""What `sam build` makes of the layer and the functions."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.stack import ROOT, list_routes

pytestmark = pytest.mark.slow

LAYER = ROOT / "layers" / "shared"


def find_sources(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.py"))}


def test_the_layer_holds_each_package_as_it_is(build):
    packages = {path.parent for path in LAYER.glob("*/__init__.py")}
    for package in packages:
        assert find_sources(build / "SharedLayer" / "python" / package.name) == find_sources(package)


def test_the_layer_holds_the_models_as_they_are(build):
    models = build / "SharedLayer" / "python" / "models"
    built = {path.relative_to(models): path.read_bytes() for path in models.rglob("*.json")}
    sources = ROOT / "models"
    assert built == {path.relative_to(sources): path.read_bytes() for path in sources.rglob("*.json")}


def test_the_build_holds_no_symbolic_links(build):
    assert not [path for path in build.rglob("*") if path.is_symlink()]


def test_the_layer_holds_no_sdk_and_nothing_slow(build):
    packages = {path.name for path in (build / "SharedLayer" / "python").iterdir()}
    assert "aws_lambda_powertools" in packages
    assert not packages & {"boto3", "botocore", "s3transfer", "pydantic", "aws_xray_sdk"}
    assert not packages & {path.name for path in ROOT.iterdir() if path.is_dir()} - {"models"}


def test_the_hook_holds_the_fixtures_as_files(build):
    fixtures = {path.name: path.read_bytes() for path in (ROOT / "events").glob("*.json")}
    assert {path.name: path.read_bytes() for path in (build / "VerifyVersions/events").iterdir()} == fixtures


def test_the_function_of_a_route_holds_its_own_modules_alone(build):
    for route in list_routes():
        built = {path.name for path in (build / route.function).rglob("*") if path.is_file() and path.suffix != ".pyc"}
        assert built - {"requirements.txt"} == {path.name for path in route.folder.glob("*.py")}


def test_the_rotation_alone_brings_an_sdk_which_knows_its_operations(build):
    (folder,) = {path.parent for path in build.rglob("boto3") if path.is_dir()}
    assert folder == build / "Identity" / "RotateClientSecret"
    # As in Lambda, where the function's folder comes first.
    program = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import boto3
        client = boto3.client("cognito-idp", region_name="us-east-1", aws_access_key_id="-", aws_secret_access_key="-")
        calls = client.add_user_pool_client_secret, client.delete_user_pool_client_secret
        print(boto3.__file__, client.list_user_pool_client_secrets.__name__, len(calls))
    """
    done = subprocess.run(
        [sys.executable, "-B", "-I", "-S", "-c", "\n".join(map(str.strip, program.splitlines())), folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(str(folder)), done.stderr


def test_compiled_modules_are_there_for_both_architectures(build):
    """`sam build` does not tell a Makefile which one the stack chooses."""
    modules = {str(path.relative_to(build)) for path in build.rglob("*.so")}
    found = {
        name: {module for module in modules if f"-{name}-linux-gnu.so" in module} for name in ("aarch64", "x86_64")
    }
    assert found["aarch64"] | found["x86_64"] == modules
    assert {module.replace("aarch64", "x86_64") for module in found["aarch64"]} == found["x86_64"]
    assert found["x86_64"]
