import { OperationError } from "../engine/errors/operation-error.ts";
import { grpcTarget } from "./grpc-target.ts";
import type { ClientTls } from "./http-request.ts";
import { httpTarget } from "./http-target.ts";
import type { OtlpTarget } from "./otlp-target.ts";

/** `host:port`, perhaps with a path. A lone word is more likely a slip than a host that listens on port 80. */
const isHostAndPort = /^(?:\[[\da-f:.]+\]|[^\s/:@?#]+):\d+(?:\/|$)/i;

/** The OTLP receiver at an address as users write it: http, https, grpc, grpcs; `host:port` is http. Throws `usage` for anything else. */
export function openTarget(
  target: string,
  {
    headers = {},
    tls = {},
  }: { readonly headers?: Readonly<Record<string, string>>; readonly tls?: ClientTls },
): OtlpTarget {
  const address = isHostAndPort.test(target) ? `http://${target}` : target;
  const url = URL.canParse(address) ? new URL(address) : null;
  const scheme = url?.protocol;
  if (url !== null && (scheme === "http:" || scheme === "https:")) {
    url.pathname = url.pathname.replace(/\/v1\/(traces|metrics|logs)\/?$/, "");
    return httpTarget(url, headers, tls);
  }
  if (url !== null && url.host !== "" && (scheme === "grpc:" || scheme === "grpcs:"))
    return grpcTarget(url.host, scheme === "grpcs:" ? tls : null, headers);
  throw new OperationError(
    "usage",
    `${target} is no address of an OTLP receiver`,
    "give it as http://127.0.0.1:4318 or grpc://127.0.0.1:4317",
  );
}
