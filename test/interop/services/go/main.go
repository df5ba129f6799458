// A small HTTP service with the OpenTelemetry SDK for Go: a request is a server span, the call to NEXT a client span.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

var (
	propagator = propagation.TraceContext{}
	tracer     trace.Tracer
	next       = os.Getenv("NEXT")
)

func main() {
	ctx := context.Background()
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter(ctx)))
	tracer = provider.Tracer("interop")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	server := &http.Server{Handler: http.HandlerFunc(handle)}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() { _ = server.Serve(listener) }()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	<-stop
	check(server.Shutdown(ctx))
	check(provider.Shutdown(ctx))
}

func exporter(ctx context.Context) *otlptrace.Exporter {
	var client otlptrace.Client = otlptracehttp.NewClient()
	if os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc" {
		client = otlptracegrpc.NewClient()
	}
	exporter, err := otlptrace.New(ctx, client)
	check(err)
	return exporter
}

func handle(response http.ResponseWriter, request *http.Request) {
	ctx := propagator.Extract(request.Context(), propagation.HeaderCarrier(request.Header))
	path := request.URL.Path
	ctx, span := tracer.Start(ctx, "GET "+path, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.request.method", "GET"), attribute.String("http.route", path)))
	defer span.End()
	status := http.StatusOK
	if path == "/broken" {
		status = http.StatusInternalServerError
	} else if next != "" {
		status = call(ctx)
	}
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= 500 {
		span.SetStatus(codes.Error, "")
	}
	response.WriteHeader(status)
}

func call(ctx context.Context) int {
	ctx, span := tracer.Start(ctx, "GET", trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("url.full", next)))
	defer span.End()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, next, nil)
	check(err)
	propagator.Inject(ctx, propagation.HeaderCarrier(request.Header))
	answer, err := http.DefaultClient.Do(request)
	check(err)
	check(answer.Body.Close())
	span.SetAttributes(attribute.Int("http.response.status_code", answer.StatusCode))
	if answer.StatusCode >= 400 {
		span.SetStatus(codes.Error, "")
	}
	return answer.StatusCode
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
