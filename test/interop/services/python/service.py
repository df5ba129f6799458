"""A small HTTP service with the OpenTelemetry SDK for Python: a request is a server span, the call to NEXT a client span."""

import os
import signal
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

if os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("interop")
next_url = os.environ.get("NEXT")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        context = propagate.extract({name.lower(): value for name, value in self.headers.items()})
        attributes = {"http.request.method": "GET", "url.path": self.path, "http.route": self.path}
        with tracer.start_as_current_span(
            f"GET {self.path}", context=context, kind=trace.SpanKind.SERVER, attributes=attributes
        ) as span:
            status = call(next_url) if next_url else 200
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_status(trace.StatusCode.ERROR)
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def call(url):
    with tracer.start_as_current_span("GET", kind=trace.SpanKind.CLIENT, attributes={"url.full": url}) as span:
        headers = {}
        propagate.inject(headers)
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
                status = response.status
        except urllib.error.HTTPError as error:
            status = error.code
        span.set_attribute("http.response.status_code", status)
        if status >= 400:
            span.set_status(trace.StatusCode.ERROR)
        return status


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print(server.server_port, flush=True)
server.serve_forever()
provider.shutdown()
