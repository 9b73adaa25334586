"""OpenTelemetry's SDK with its OTLP/HTTP exporter to a local collector, flushed before the response.

Replaces `serverless_api.telemetry.tracing`. A list makes one call, so flushing after each call flushes once for each
invocation. Without it the spans would stay until the environment runs again, or forever.
"""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from serverless_api.telemetry.opentelemetry_calls import make_table_call

from serverless_api.environment import settings

# The address of the collector is in OTEL_EXPORTER_OTLP_ENDPOINT.
provider = TracerProvider(resource=Resource({"service.name": settings.SERVICE_NAME}), shutdown_on_exit=False)
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
TableCall = make_table_call(provider.get_tracer("serverless_api"), provider.force_flush)
