import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";
import { type AnyValue, type Attributes, textOf } from "./attributes.ts";
import { serviceNameBytesMax } from "./limits.ts";
import { resourceKeys } from "./semconv.ts";

/** Who sent a span: the parts of a resource that make a node and an instance of the graph. */
export interface ServiceIdentity {
  readonly name: string;
  readonly namespace: string;
  readonly environment: string;
  readonly version: string;
  /** which process: `service.instance.id`, else pod, else host and pid; "" = unknown */
  readonly instance: string;
  /** whose clock: `host.id`, `host.ip`, `host.name`, else node or pod; "" = unknown */
  readonly host: string;
  /** where others may reach it: host and pod names and addresses, Kubernetes service name */
  readonly addresses: readonly string[];
}

/** What senders call a service that was given no name; hints such as the executable's name are added after a colon. */
export const unknownService = "unknown_service";

export function identityOf(resource: Attributes): ServiceIdentity {
  const hint = firstText(resource, resourceKeys.hint);
  const pid = firstText(resource, resourceKeys.process);
  const host = firstText(resource, resourceKeys.hostName);
  const addresses = resourceKeys.address.flatMap((key) => textsOf(resource.get(key)));
  return {
    name: limitName(
      firstText(resource, resourceKeys.name) || (hint === "" ? unknownService : `${unknownService}:${hint}`),
    ),
    namespace: limitName(firstText(resource, resourceKeys.namespace)),
    environment: limitName(firstText(resource, resourceKeys.environment)),
    version: firstText(resource, resourceKeys.version),
    instance:
      firstText(resource, resourceKeys.instance) || (host !== "" && pid !== "" ? `${host}:${pid}` : host),
    host: firstText(resource, resourceKeys.clock),
    addresses: [...new Set(addresses.map((address) => address.toLowerCase()))],
  };
}

function firstText(resource: Attributes, keys: readonly string[]): string {
  for (const key of keys) {
    const [first = ""] = textsOf(resource.get(key));
    if (first !== "") return first;
  }
  return "";
}

/** The texts of a value: one for a scalar, several for an array such as `host.ip`; empty ones are left out. */
function textsOf(value: AnyValue | undefined): readonly string[] {
  const values = Array.isArray(value) ? (value as readonly AnyValue[]) : [value];
  const texts = values.map((item) => textOf(item).trim()).filter((text) => text !== "");
  return texts.length === 1 ? textsInJson(texts[0] as string) : texts;
}

/** Formats without arrays (Jaeger, Zipkin) carry them as JSON text: `["10.0.0.1","fe80::1"]`. */
function textsInJson(text: string): readonly string[] {
  if (!/^\["[^"\\]*"(?:,"[^"\\]*")*\]$/.test(text)) return [text];
  return text
    .slice(2, -2)
    .split('","')
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** A name of at most `serviceNameBytesMax` bytes, without the characters that keys of sums are joined with. */
export function limitName(name: string): string {
  let clean = name;
  for (const reserved of ["\u0000", "\u0001", "\u0002"])
    if (clean.includes(reserved)) clean = clean.replaceAll(reserved, "\ufffd");
  if (clean.length * 3 <= serviceNameBytesMax) return clean;
  // as many characters have at least as many bytes
  const bytes = encodeUtf8(clean.slice(0, serviceNameBytesMax + 1));
  if (bytes.length <= serviceNameBytesMax) return clean;
  let hash = 0x811c9dc5;
  for (let i = 0; i < clean.length; i += 1) hash = Math.imul(hash ^ clean.charCodeAt(i), 0x01000193);
  let end = serviceNameBytesMax - 9;
  while (isContinuation(bytes[end] as number)) end -= 1;
  return `${decodeUtf8(bytes, 0, end)}~${(hash >>> 0).toString(16).padStart(8, "0")}`;
}

/** Whether a byte of UTF-8 lies within a character. */
function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}
