"""Creates the resources of a stack in the local AWS services."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from local_engine.services.buckets import create_bucket, set_notifications
from local_engine.services.buses import create_bus, create_rule, create_schedule, create_schedule_group
from local_engine.services.queues import create_queue, set_redrive_policy
from local_engine.services.services_client import RejectedRequest, ServicesClient, ServicesError
from local_engine.services.stores import create_log_group, create_parameter, create_secret
from local_engine.services.tables import create_table
from local_engine.services.topics import create_own_subscriptions, create_subscription, create_topic
from local_engine.template.errors import TemplateError
from local_engine.template.intrinsics import resource_arn
from local_engine.template.properties import Properties
from local_engine.template.stack import Resource, Stack


class SeedError(ServicesError):
    """The file with example data cannot be used."""


type _Create = Callable[[ServicesClient, str, Resource], None]

LARGEST_BATCH = 25
"""Most requests of a BatchWriteItem call."""

# What creates the resources of a type, in this order: what others refer to comes first.
_CREATORS: Sequence[tuple[str, _Create]] = (
    ("AWS::DynamoDB::Table", create_table),
    ("AWS::SQS::Queue", create_queue),
    ("AWS::SNS::Topic", create_topic),
    ("AWS::S3::Bucket", create_bucket),
    ("AWS::SecretsManager::Secret", create_secret),
    ("AWS::SSM::Parameter", create_parameter),
    ("AWS::Logs::LogGroup", create_log_group),
    ("AWS::Events::EventBus", create_bus),
    ("AWS::SQS::Queue", set_redrive_policy),
    ("AWS::SNS::Topic", create_own_subscriptions),
    ("AWS::SNS::Subscription", create_subscription),
    ("AWS::S3::Bucket", set_notifications),
    ("AWS::Events::Rule", create_rule),
    ("AWS::Scheduler::ScheduleGroup", create_schedule_group),
    ("AWS::Scheduler::Schedule", create_schedule),
)
_REPLACED_TYPES = frozenset({"AWS::Events::Rule", "AWS::Scheduler::Schedule"})
_CREATED_TYPES = frozenset(kind for kind, _ in _CREATORS)


def create_resources(stack: Stack, endpoint: str) -> None:
    """Create the resources of a stack that functions use. The default name is the logical ID.

    Args:
        stack: the stack. Its resources of other types are ignored.
        endpoint: URL of the services.

    Raises:
        ServicesError: moto does not answer. A resource that it rejects is left out, and becomes a notice of the stack.
    """
    needed = {logical_id: resource for logical_id, resource in stack.resources.items() if _is_needed(resource, stack)}
    # A stack without such resources does not have to wait for the services.
    if not needed:
        return
    needy = replace(stack, resources=needed)
    with ServicesClient(endpoint) as client:
        refused: set[str] = set()
        for kind, create in _CREATORS:

            def read(logical_id: str, resource: Resource, create: _Create = create) -> None:
                # What is refused gets no further parts, such as a dead-letter queue.
                if logical_id in refused:
                    return
                try:
                    create(client, resource.require_name(), resource)
                except RejectedRequest as error:
                    refused.add(logical_id)
                    sentence = f"the local AWS services reject {error.operation}: {error.reason.rstrip('.')}."
                    raise TemplateError(sentence) from error
                except (TemplateError, TypeError, ValueError, LookupError, AttributeError):
                    refused.add(logical_id)
                    raise

            needy.read_parts(kind, read=read)


def find_changes(old: Stack, new: Stack) -> Stack:
    """Return a stack with what an edit of the template adds or changes.

    Rules and schedules that are gone are in it, disabled. Of other resources, the state stays, as it may be needed.
    """
    changed = {
        logical_id: resource
        for logical_id, resource in new.resources.items()
        if logical_id not in old.resources
        or (resource.type in _REPLACED_TYPES and resource != old.resources[logical_id])
    }
    gone = {
        logical_id: replace(resource, properties=Properties({**resource.properties, "State": "DISABLED"}))
        for logical_id, resource in old.resources.items()
        if logical_id not in new.resources and resource.type in _REPLACED_TYPES
    }
    return replace(new, resources={**changed, **gone})


def find_table_names(stack: Stack) -> dict[str, str]:
    """Return the names of a stack's tables by their logical IDs."""
    return stack.read_parts("AWS::DynamoDB::Table", read=lambda _, table: table.require_name())


def seed_tables(file: Path, endpoint: str, names: Mapping[str, str]) -> None:
    """Write the items of a file into the tables.

    Args:
        file: JSON in the form of BatchWriteItem's `RequestItems`, with logical IDs as table names.
        endpoint: URL of the services.
        names: the tables' names by their logical IDs.

    Raises:
        SeedError: the file cannot be read, a table is unknown, or an item is rejected.
        ServicesError: the services do not answer.
    """
    try:
        # Editors may write a BOM.
        content = json.loads(file.read_text(encoding="utf-8-sig"))
        requests = [(names[table], request) for table, entries in content.items() for request in entries]
    except OSError as error:
        raise SeedError(f"{file} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise SeedError(f"{file} cannot be read: {error}.") from error
    except (AttributeError, TypeError) as error:
        raise SeedError(f"{file} does not have the form of BatchWriteItem's RequestItems: {error}.") from error
    except KeyError as error:
        raise SeedError(f"{file} has items for {error}, which is not a table of the template.") from error
    with ServicesClient(endpoint) as client:
        for start in range(0, len(requests), LARGEST_BATCH):
            batch: dict[str, list[Any]] = {}
            for table, request in requests[start : start + LARGEST_BATCH]:
                batch.setdefault(table, []).append(request)
            try:
                client.call("dynamodb", "BatchWriteItem", {"RequestItems": batch})
            except RejectedRequest as error:
                raise SeedError(f"{file} does not fit its tables. {error}") from error


def _is_needed(resource: Resource, stack: Stack) -> bool:
    if resource.type != "AWS::Logs::LogGroup":
        return resource.type in _CREATED_TYPES
    # Nothing reads the others, because functions write to the terminal.
    arn = resource_arn(resource.type, resource.name).removesuffix(":*") if resource.name else ""
    targets = (
        target
        for other in stack.resources.values()
        if other.type == "AWS::Events::Rule"
        for target in other.find("Targets") or ()
    )
    return any(isinstance(target, dict) and str(target.get("Arn")).removesuffix(":*") == arn for target in targets)
