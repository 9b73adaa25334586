"""OpenTelemetry's SDK, sending each span to the X-Ray daemon as AWS's distribution for Lambda does.

Replaces `serverless_api.telemetry.tracing`. The datagram is OTLP in base64 after `T1S`, as the OTLP/UDP exporter of the
AWS Distro for OpenTelemetry writes it; AWS's documentation does not describe it.
"""

import base64
import os
import socket

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from serverless_api.telemetry.opentelemetry_calls import make_table_call

from serverless_api.environment import settings

host, _, port = os.environ["AWS_XRAY_DAEMON_ADDRESS"].rpartition(":")
daemon = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
daemon.setblocking(False)
daemon.connect((host, int(port)))


class DaemonExporter(SpanExporter):
    def export(self, spans):
        content = base64.b64encode(encode_spans(spans).SerializeToString())
        daemon.send(b'{"format":"json","version":1}\nT1S' + content)
        return SpanExportResult.SUCCESS


provider = TracerProvider(resource=Resource({"service.name": settings.SERVICE_NAME}), shutdown_on_exit=False)
provider.add_span_processor(SimpleSpanProcessor(DaemonExporter()))
TableCall = make_table_call(provider.get_tracer("serverless_api"))
