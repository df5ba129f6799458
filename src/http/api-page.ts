import type { ListenAddresses } from "./api-routes.ts";

export interface HomePage {
  readonly addresses: ListenAddresses;
  readonly version: string;
  /** whether everything is asked over TLS */
  readonly isTls: boolean;
  readonly isHtml: boolean;
  readonly paths: readonly { readonly path: string; readonly summary: string }[];
}

/** What a visitor of `/` needs first: what this is, where to send telemetry, where to ask. */
export function homePage({ addresses, version, isTls, isHtml, paths }: HomePage): string {
  const scheme = isTls ? "https" : "http";
  const text = [
    `hypocenter ${version}`,
    "Receives OpenTelemetry data and says what failed first in a trace, why, how it spread and who is hit.",
    "",
    `OTLP over gRPC   ${addresses.grpc}`,
    `OTLP over HTTP   ${scheme}://${addresses.http}/v1/traces  /v1/metrics  /v1/logs`,
    `API              ${scheme}://${addresses.api}/api/v1/  described in /openapi.json`,
    "",
    "Send from an application:",
    "",
    `  export OTEL_EXPORTER_OTLP_ENDPOINT=${scheme}://${addresses.http}`,
    "  export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
    "",
    "Send from an OpenTelemetry Collector:",
    "",
    ...collectorLines(addresses, isTls).map((line) => `  ${line}`),
    "",
    "Ask about a trace:",
    "",
    `  hypocenter query TRACE_ID --server ${scheme}://${addresses.api}`,
    "",
    "Ask what went wrong lately:",
    "",
    `  hypocenter query incidents --server ${scheme}://${addresses.api}`,
    "",
    "Addresses:",
    "",
    ...paths.map(({ path, summary }) => `  ${path.padEnd(34)} ${summary}`),
    "",
  ].join("\n");
  return isHtml ? htmlOf(text) : text;
}

/** A whole configuration: what is left out would have to be known. */
function collectorLines({ grpc }: ListenAddresses, isTls: boolean): readonly string[] {
  const pipelines = ["traces", "metrics", "logs"].flatMap((signal) => [
    `    ${signal}:`,
    "      receivers: [otlp]",
    "      exporters: [otlp/hypocenter]",
  ]);
  return [
    "receivers:",
    "  otlp:",
    "    protocols:",
    "      http:",
    "        endpoint: 127.0.0.1:14318",
    "exporters:",
    "  otlp/hypocenter:",
    `    endpoint: ${grpc}`,
    "    tls:",
    isTls ? "      ca_file: /path/to/authority.pem" : "      insecure: true",
    "service:",
    "  pipelines:",
    ...pipelines,
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
