"""S3 buckets of a template, with their notifications."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from local_engine.services.services_client import ServicesClient
from local_engine.template.stack import Resource

# Property in the template, name of its target there, and their names in the API.
_NOTIFICATIONS = (
    ("LambdaConfigurations", "Function", "CloudFunctionConfiguration", "CloudFunction"),
    ("QueueConfigurations", "Queue", "QueueConfiguration", "Queue"),
    ("TopicConfigurations", "Topic", "TopicConfiguration", "Topic"),
)


def create_bucket(client: ServicesClient, name: str, resource: Resource) -> None:
    """Create a bucket, without its notifications."""
    client.request("s3", "PUT", f"/{quote(name)}", "")
    versioning = resource.properties.get("VersioningConfiguration") or {}
    if status := versioning.get("Status"):
        body = f"<VersioningConfiguration><Status>{escape(status)}</Status></VersioningConfiguration>"
        client.request("s3", "PUT", f"/{quote(name)}?versioning", body)
    rules = (resource.properties.get("CorsConfiguration") or {}).get("CorsRules")
    if rules:
        body = f"<CORSConfiguration>{''.join(map(_describe_cors_rule, rules))}</CORSConfiguration>"
        client.request("s3", "PUT", f"/{quote(name)}?cors", body)


def _describe_cors_rule(rule: Mapping[str, Any]) -> str:
    # Names in the template are plural, and those of the API are not.
    elements = {
        "AllowedOrigin": rule.get("AllowedOrigins"),
        "AllowedMethod": rule.get("AllowedMethods"),
        "AllowedHeader": rule.get("AllowedHeaders"),
        "ExposeHeader": rule.get("ExposedHeaders"),
        "MaxAgeSeconds": [rule["MaxAge"]] if "MaxAge" in rule else None,
    }
    shown = (f"<{name}>{escape(str(value))}</{name}>" for name, values in elements.items() for value in values or ())
    return f"<CORSRule>{''.join(shown)}</CORSRule>"


def set_notifications(client: ServicesClient, name: str, resource: Resource) -> None:
    """Set a bucket's notifications, or replace them. Their queues and topics must exist."""
    configuration = resource.properties.get("NotificationConfiguration")
    if configuration is not None:
        body = "".join(_describe_notifications(configuration))
        body = f"<NotificationConfiguration>{body}</NotificationConfiguration>"
        client.request("s3", "PUT", f"/{quote(name)}?notification", body)


def _describe_notifications(configuration: Mapping[str, Any]) -> Iterator[str]:
    for name, target, element, target_element in _NOTIFICATIONS:
        for entry in configuration.get(name) or ():
            filters = ((entry.get("Filter") or {}).get("S3Key") or {}).get("Rules") or ()
            rules = "".join(
                f"<FilterRule><Name>{escape(str(rule['Name']).lower())}</Name>"
                f"<Value>{escape(str(rule['Value']))}</Value></FilterRule>"
                for rule in filters
            )
            shown = f"<Filter><S3Key>{rules}</S3Key></Filter>" if rules else ""
            arn = escape(str(entry[target]))
            yield (
                f"<{element}><{target_element}>{arn}</{target_element}>"
                f"<Event>{escape(str(entry['Event']))}</Event>{shown}</{element}>"
            )
    # SAM takes true as well as the configuration itself.
    event_bridge = configuration.get("EventBridgeConfiguration")
    if event_bridge is not None and str((event_bridge or {}).get("EventBridgeEnabled", True)).lower() == "true":
        yield "<EventBridgeConfiguration/>"
