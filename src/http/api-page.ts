import type { ListenAddresses } from "./api-routes.ts";

export interface HomePage {
  readonly addresses: ListenAddresses;
  readonly version: string;
  readonly isHtml: boolean;
  readonly paths: readonly { readonly path: string; readonly summary: string }[];
}

/** What a visitor of `/` needs first: what this is, where to send telemetry, where to ask. */
export function homePage({ addresses, version, isHtml, paths }: HomePage): string {
  const text = [
    `hypocenter ${version}`,
    "Receives OpenTelemetry data and says what failed first in a trace, why, how it spread and who is hit.",
    "",
    `OTLP over gRPC   ${addresses.grpc}`,
    `OTLP over HTTP   http://${addresses.http}/v1/traces  /v1/metrics  /v1/logs`,
    `API              http://${addresses.api}/api/v1/  described in /openapi.json`,
    "",
    "Send from an application:",
    "",
    `  export OTEL_EXPORTER_OTLP_ENDPOINT=http://${addresses.http}`,
    "  export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
    "",
    "Send from an OpenTelemetry Collector:",
    "",
    ...collectorLines(addresses).map((line) => `  ${line}`),
    "",
    "Ask about a trace:",
    "",
    `  hypocenter query TRACE_ID --server http://${addresses.api}`,
    "",
    "Addresses:",
    "",
    ...paths.map(({ path, summary }) => `  ${path.padEnd(34)} ${summary}`),
    "",
  ].join("\n");
  return isHtml ? htmlOf(text) : text;
}

function collectorLines({ grpc }: ListenAddresses): readonly string[] {
  return [
    "exporters:",
    "  otlp/hypocenter:",
    `    endpoint: ${grpc}`,
    "    tls:",
    "      insecure: true",
    "service:",
    "  pipelines:",
    "    traces:",
    "      receivers: [otlp]",
    "      exporters: [otlp/hypocenter]",
    "    metrics:",
    "      receivers: [otlp]",
    "      exporters: [otlp/hypocenter]",
  ];
}

function htmlOf(text: string): string {
  const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>hypocenter</title>
<style>:root{color-scheme:light dark}body{max-width:60rem;margin:2rem auto;padding:0 1rem}pre{font:14px/1.5 ui-monospace,monospace;white-space:pre-wrap}</style>
</head>
<body><pre>${escaped}</pre></body>
</html>
`;
}
