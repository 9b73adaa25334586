"""AWS services in a separate process: DynamoDB, SQS, EventBridge and Secrets Manager."""

from local_engine.services.aws_services import (
    SERVICES_PORT,
    Services,
    ServicesError,
    create_resources,
    keep_secret,
    seed_tables,
    start_services,
)

__all__ = [
    "SERVICES_PORT",
    "Services",
    "ServicesError",
    "create_resources",
    "keep_secret",
    "seed_tables",
    "start_services",
]
