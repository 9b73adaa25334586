"""What the imports of the collected tests have changed."""

import pytest

CHANGED_BY_IMPORTS = pytest.StashKey[set[str]]()
"""The environment variables that they changed."""
