"""The profiles of samconfig.toml, one for each stage."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class OperationError(Exception):
    """Something cannot be done; the message is a sentence that says why and what to do."""


@dataclass(frozen=True)
class Profile:
    """How a stage is deployed.

    Attributes:
        stage: its name, which is the profile's as well.
        stack: name of the stack.
        region: that the profile names; None leaves it to the environment.
    """

    stage: str
    stack: str
    region: str | None


def read_profile(stage: str, config: Path = ROOT / "samconfig.toml") -> Profile:
    """Return the profile of a stage.

    Raises:
        OperationError: there is none.
    """
    profiles = tomllib.loads(config.read_text(encoding="utf-8"))
    # What `sam local` and the plain `sam deploy` take is no stage.
    stages = {
        name: commands["deploy"]["parameters"]
        for name, commands in profiles.items()
        if name != "default" and isinstance(commands, dict) and "deploy" in commands
    }
    if stage not in stages:
        said = f"STAGE={stage} is none of" if stage else "Say which stage, by STAGE=…: one of"
        raise OperationError(f"{said} the profiles in {config.name}: {', '.join(stages)}.")
    parameters = stages[stage]
    return Profile(stage, parameters["stack_name"], parameters.get("region"))
