import type { ServiceDirectory } from "../model/service-directory.ts";
import { SpanKind, type SpanTable } from "../model/span-table.ts";
import { type NamedPeer, semanticsOf } from "./semantics.ts";
import type { Trace, TraceSpan } from "./trace.ts";

export type { NamedPeer } from "./semantics.ts";

/** Shows a directory all services and peers of a table, so that it can name them. */
export function observeTable(table: SpanTable, directory: ServiceDirectory): void {
  const semantics = semanticsOf(table);
  for (let resource = 0; resource < table.resources.length; resource += 1)
    directory.observe(semantics.identityOfResource(resource));
  const { kind, rowCount } = table;
  const seen = new Set<unknown>();
  for (let row = 0; row < rowCount; row += 1) {
    const mayCall =
      kind[row] === SpanKind.Client || kind[row] === SpanKind.Producer || kind[row] === SpanKind.Unspecified;
    if (!mayCall) {
      // while its attributes are at hand
      semantics.failed(row);
      continue;
    }
    const peer = semantics.peerOf(row);
    if (peer === null || seen.has(peer)) continue;
    directory.observePeer(peer);
    seen.add(peer);
  }
}

/** The far side of a call as the calling span describes it, by its name in the trace; null where the span says nothing of it. */
export function peerOf(trace: Trace, span: TraceSpan): NamedPeer | null {
  return semanticsOf(span.table).namedPeerOf(span.row, trace.naming);
}

/** The callee's half of a call: its first child that another service (or a server span) runs. */
export function remoteChild(trace: Trace, span: TraceSpan): TraceSpan | undefined {
  for (const index of span.children) {
    const child = trace.spans[index] as TraceSpan;
    if (child.service !== span.service || child.kind === SpanKind.Server) return child;
  }
  return undefined;
}

/**
 * Whom a span calls; its own service if nobody. With the operation, that tells one call of a parent from another. Attempts of one call
 * share it, whether they were answered or not, so what the call itself says of its callee comes first.
 */
export function calleeNameOf(trace: Trace, span: TraceSpan): string {
  return peerOf(trace, span)?.name ?? remoteChild(trace, span)?.service ?? span.service;
}
