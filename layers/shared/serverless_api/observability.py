"""The one logger and the one set of metrics of a function."""

import logging

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from serverless_api import settings

__all__ = ["MetricUnit", "logger", "metrics", "report_transition"]

# Lambda gives the function's level to the root logger, and at DEBUG botocore would write whole requests and responses,
# with the secrets and session tokens in them, to the log.
for _name in ("boto3", "botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.INFO)

logger = Logger(service=settings.SERVICE_NAME, use_rfc3339=True, utc=True)
metrics = Metrics(service=settings.SERVICE_NAME, namespace=settings.METRICS_NAMESPACE)


def report_transition(circuit: str, before: str, after: str) -> None:
    """Log and count that a circuit breaker changed its state.

    Args:
        circuit: what it guards.
        before: `closed`, `open` or `half_open`, in any case.
        after: likewise.
    """
    logger.warning("A circuit changed its state", circuit=circuit, before=before.lower(), after=after.lower())
    if after.lower() == "open":
        metrics.add_metric(f"{circuit.capitalize()}CircuitOpened", MetricUnit.Count, 1)
    elif after.lower() == "closed":
        metrics.add_metric(f"{circuit.capitalize()}CircuitClosed", MetricUnit.Count, 1)
