/** The services of OTLP/gRPC, one for each signal; each has one method, `Export`. */
export const grpcServices = {
  traces: "opentelemetry.proto.collector.trace.v1.TraceService",
  metrics: "opentelemetry.proto.collector.metrics.v1.MetricsService",
  logs: "opentelemetry.proto.collector.logs.v1.LogsService",
} as const;

/** The same for profiles, which are known and refused. */
export const profilesService = "opentelemetry.proto.collector.profiles.v1development.ProfilesService";
