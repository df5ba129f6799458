import { ByteBudget } from "../engine/byte-budget.ts";
import { eachField, textAt } from "../otlp/protobuf-values.ts";
import { Wire } from "../otlp/protobuf-wire.ts";
import { rpcCode } from "../otlp/responses.ts";
import type { GrpcFailure, MessageStream } from "./grpc-call.ts";

export const healthPaths = {
  check: "/grpc.health.v1.Health/Check",
  watch: "/grpc.health.v1.Health/Watch",
} as const;

/** HealthCheckResponse { ServingStatus status = 1 } */
const servingStatus = { serving: 1, notServing: 2, serviceUnknown: 3 } as const;

/** `grpc.health.v1`: the server as a whole (the empty name) and each of its services serve or do not, all alike. */
export class GrpcHealth {
  readonly #names: ReadonlySet<string>;
  /** of its own: a server that is full tells so */
  readonly budget = new ByteBudget(1 << 20);
  readonly #watching = new Set<MessageStream>();
  #isServing = true;

  constructor(services: readonly string[]) {
    this.#names = new Set(["", ...services]);
  }

  /** The answer to a HealthCheckRequest. */
  check(request: Uint8Array): Uint8Array | GrpcFailure {
    const name = serviceIn(request);
    if (typeof name !== "string") return name;
    if (!this.#names.has(name)) return { code: rpcCode.notFound, message: `no service "${name}" here` };
    return responseOf(this.#status());
  }

  /** What `check` says, now and whenever it changes, until the caller goes. A service that is not here is said to be unknown. */
  watch(request: Uint8Array, open: () => MessageStream): GrpcFailure | null {
    const name = serviceIn(request);
    if (typeof name !== "string") return name;
    const stream = open();
    this.#watching.add(stream);
    stream.onGone(() => this.#watching.delete(stream));
    stream.send(responseOf(this.#names.has(name) ? this.#status() : servingStatus.serviceUnknown));
    return null;
  }

  /** From now on nothing is served; whoever watches is told so. */
  end(): void {
    this.#isServing = false;
    for (const stream of this.#watching) {
      stream.send(responseOf(servingStatus.notServing));
      stream.end({ code: rpcCode.unavailable, message: "the server is ending" });
    }
  }

  #status(): number {
    return this.#isServing ? servingStatus.serving : servingStatus.notServing;
  }
}

/** HealthCheckRequest { string service = 1 } */
function serviceIn(request: Uint8Array): string | GrpcFailure {
  const wire = new Wire(request);
  let name = "";
  const isWhole = eachField(wire, 0, request.length, (tag, start, end) => {
    if (tag === 0x0a) name = textAt(wire, start, end);
    return true;
  });
  return isWhole
    ? name
    : { code: rpcCode.invalidArgument, message: `malformed health request: ${wire.problem}` };
}

function responseOf(status: number): Uint8Array {
  return Uint8Array.of(0x08, status);
}
