"""Values of secrets that CloudFormation generates.

Source: "AWS::SecretsManager::Secret GenerateSecretString" (CloudFormation Template Reference).
"""

import json
import random
import secrets
import string
from collections.abc import Mapping
from typing import Any

from local_engine.template.value_functions import write_text

_KINDS = (
    ("ExcludeUppercase", string.ascii_uppercase),
    ("ExcludeLowercase", string.ascii_lowercase),
    ("ExcludeNumbers", string.digits),
    ("ExcludePunctuation", string.punctuation),
)
_LENGTH = 32
# While the engine runs, a secret keeps its value, whoever evaluates the template.
_seed = secrets.token_hex(32)


def generate_secret(name: str, settings: Mapping[str, Any]) -> str:
    """Return the value of a generated secret.

    Args:
        name: the secret's name.
        settings: `GenerateSecretString`.

    Raises:
        ValueError: the settings leave no characters, or the template is not JSON.
    """
    chance = random.Random(_seed + name)  # noqa: S311 - the seed is secret
    excluded = str(settings.get("ExcludeCharacters", ""))
    kinds = [
        "".join(character for character in characters if character not in excluded)
        for switch, characters in _KINDS
        if not _is_true(settings.get(switch))
    ]
    if _is_true(settings.get("IncludeSpace")) and " " not in excluded:
        kinds.append(" ")
    kinds = [kind for kind in kinds if kind]
    if not kinds:
        raise ValueError
    length = int(settings.get("PasswordLength", _LENGTH))
    chosen = [chance.choice(kind) for kind in kinds] if _is_true(settings.get("RequireEachIncludedType", True)) else []
    chosen += [chance.choice("".join(kinds)) for _ in range(length - len(chosen))]
    chance.shuffle(chosen)
    password = "".join(chosen[:length])
    key = settings.get("GenerateStringKey")
    return password if key is None else json.dumps({**json.loads(settings["SecretStringTemplate"]), key: password})


def _is_true(value: Any) -> bool:
    # Parameters are text.
    return write_text(value).lower() == "true"
