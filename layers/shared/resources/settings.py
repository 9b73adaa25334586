"""Environment variables of the enrichment hook."""

import os

from serverless_api import SettingError, read_count, read_number, settings

ENRICHMENT_URL = os.environ.get("ENRICHMENT_URL", "")
if ENRICHMENT_URL and settings.STARTS_FROM_SNAPSHOT:
    raise SettingError(
        "A function with ENRICHMENT_URL cannot start from a snapshot: its SDK client finds credentials when it is"
        " created, and the snapshot would freeze them. Use SnapStart only for functions without enrichment."
    )
ENRICHMENT_SECONDS = read_number("ENRICHMENT_SECONDS", default=2.0)
CIRCUIT_THRESHOLD = read_count("CIRCUIT_THRESHOLD", default=5)
CIRCUIT_RESET_SECONDS = read_count("CIRCUIT_RESET_SECONDS", default=30)
