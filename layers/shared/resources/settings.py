"""Environment variables of the enrichment hook."""

import os

from serverless_api import read_count, read_number

ENRICHMENT_URL = os.environ.get("ENRICHMENT_URL", "")
ENRICHMENT_SECONDS = read_number("ENRICHMENT_SECONDS", default=2.0)
CIRCUIT_THRESHOLD = read_count("CIRCUIT_THRESHOLD", default=5)
CIRCUIT_RESET_SECONDS = read_count("CIRCUIT_RESET_SECONDS", default=30)
