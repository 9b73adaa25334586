"""AWS services in a separate process: DynamoDB, SQS, SNS, S3, EventBridge, Secrets Manager and others of moto."""

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
