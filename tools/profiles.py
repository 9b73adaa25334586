"""Profiles in samconfig.toml, one for each stage."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class OperationError(Exception):
    """Something cannot be done; the message says why and what to do."""


@dataclass(frozen=True)
class Profile:
    """A stage's deployment settings.

    Attributes:
        stage: name of the stage and of the profile.
        stack: name of the stack.
        region: AWS region; None takes the environment's.
    """

    stage: str
    stack: str
    region: str | None


def read_profile(stage: str, config: Path = ROOT / "samconfig.toml") -> Profile:
    """Return the profile of a stage.

    Raises:
        OperationError: there is no such profile.
    """
    profiles = tomllib.loads(config.read_text(encoding="utf-8"))
    # The default profile is not a stage.
    stages = {
        name: commands["deploy"]["parameters"]
        for name, commands in profiles.items()
        if name != "default" and isinstance(commands, dict) and "deploy" in commands
    }
    if stage not in stages:
        said = f"STAGE={stage} is not one of" if stage else "Set STAGE= to one of"
        raise OperationError(f"{said} the profiles in {config.name}: {', '.join(stages)}.")
    parameters = stages[stage]
    return Profile(stage, parameters["stack_name"], parameters.get("region"))
