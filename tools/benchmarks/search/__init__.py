import os

# The layer's modules read them at import. Nothing in this process calls AWS.
_SETTINGS = {
    "TABLE_NAME": "table",
    "AWS_REGION": "us-east-1",
    "POWERTOOLS_SERVICE_NAME": "search",
    "POWERTOOLS_METRICS_NAMESPACE": "search",
}
os.environ.update({name: os.environ.get(name, value) for name, value in _SETTINGS.items()})
