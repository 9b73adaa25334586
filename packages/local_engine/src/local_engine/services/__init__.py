"""AWS services in a separate process: DynamoDB, SQS, SNS, S3, EventBridge, Secrets Manager and others of moto."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_engine.services.aws_services import SERVICES_PORT, Services, keep_secret, start_services
    from local_engine.services.services_client import ServicesError
    from local_engine.services.stack_resources import create_resources, seed_tables

__all__ = [
    "SERVICES_PORT",
    "Services",
    "ServicesError",
    "create_resources",
    "keep_secret",
    "seed_tables",
    "start_services",
]


def __getattr__(name: str) -> object:
    # Imported at the first use, because the services themselves would start later with what reads templates.
    for module in ("aws_services", "services_client", "stack_resources"):
        found = import_module(f"{__name__}.{module}")
        if name in __all__ and hasattr(found, name):
            return getattr(found, name)
    raise AttributeError(name)
