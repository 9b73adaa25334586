"""The one logger and the one set of metrics of a function."""

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from serverless_api import settings

__all__ = ["MetricUnit", "logger", "metrics"]

logger = Logger(service=settings.SERVICE_NAME, use_rfc3339=True, utc=True)
metrics = Metrics(service=settings.SERVICE_NAME, namespace=settings.METRICS_NAMESPACE)
