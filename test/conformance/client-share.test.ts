import { type ClientRequest, request } from "node:http";
import { type ClientHttp2Stream, connect, type IncomingHttpHeaders } from "node:http2";
import { connect as connectSocket } from "node:net";
import * as fc from "fast-check";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { ByteBudget, type ClientUse } from "../../src/engine/byte-budget.ts";
import type { Transport } from "../../src/engine/own-work.ts";
import { ReceiverCounters } from "../../src/engine/receiver-counters.ts";
import { startGrpcReceiver } from "../../src/grpc/grpc-receiver.ts";
import { guardOtlp } from "../../src/http/access.ts";
import { createOtlpHttpHandler } from "../../src/http/otlp-handler.ts";
import { listenHttp } from "../../src/http/server.ts";
import { checkOf } from "../credentials.ts";
import { exportPaths, framed } from "./grpc-server.ts";
import { retrySecondsIn } from "./transports.ts";

/** Who sends: by what its requests show, or by where they come from. */
interface Sender {
  readonly token?: string;
  readonly from?: string;
}

interface Reply {
  readonly status: number;
  readonly retrySeconds: number;
}

/** A request of which `first` is sent; the rest follows with `finish`. */
interface Upload {
  readonly reply: Promise<Reply>;
  finish(): void;
}

interface Server {
  readonly budget: ByteBudget;
  throttled(): number | undefined;
  send(sender: Sender, body: Uint8Array, first?: number): Upload;
}

const budgetBytes = 1_000_000;
const tokens = ["flooder", "friend"];

function optionsOf(transport: Transport, isClosed: boolean) {
  const counters = new ReceiverCounters(transport);
  return {
    ingest: { ingest: () => Promise.resolve() },
    budget: new ByteBudget(budgetBytes, 0.5),
    counters,
    bodyBytesMax: budgetBytes,
    credentials: isClosed ? checkOf({ tokens }) : null,
    onFault: (fault: unknown) => expect(fault).toBeUndefined(),
    throttled: () => counters.stats()[`otlp_${transport}_throttled_requests_total`],
  };
}

function headersOf({ token }: Sender): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

async function httpServer(isClosed: boolean): Promise<Server> {
  const options = optionsOf("http", isClosed);
  const handler = guardOtlp(createOtlpHttpHandler(options), { cors: null, ...options });
  const listener = await listenHttp(handler, { host: "127.0.0.1", port: 0 });
  const calls: ClientRequest[] = [];
  onTestFinished(() => {
    for (const call of calls) call.destroy();
    return listener.close(100);
  });
  return {
    ...options,
    send: (sender, body, first = body.length) => {
      const headers = { "content-type": "application/x-protobuf", "content-length": String(body.length) };
      const call = request(`http://${listener.address}/v1/traces`, {
        method: "POST",
        agent: false,
        headers: { ...headers, ...headersOf(sender) },
        ...(sender.from === undefined ? {} : { localAddress: sender.from }),
      });
      calls.push(call);
      call.write(body.subarray(0, first));
      const reply = new Promise<Reply>((resolve) => {
        call.on("response", (response) => {
          response.resume().on("error", () => {});
          resolve({ status: response.statusCode!, retrySeconds: Number(response.headers["retry-after"]) });
        });
        call.on("error", () => {});
      });
      return { reply, finish: () => call.end(body.subarray(first)) };
    },
  };
}

async function grpcServer(isClosed: boolean): Promise<Server> {
  const options = optionsOf("grpc", isClosed);
  const receiver = await startGrpcReceiver({ ...options, host: "127.0.0.1", port: 0 });
  const calls: ClientHttp2Stream[] = [];
  onTestFinished(() => {
    for (const { session } of calls) session?.destroy();
    return receiver.close(100);
  });
  return {
    ...options,
    send: (sender, body, first = body.length) => {
      const from = sender.from === undefined ? {} : { localAddress: sender.from };
      const socket = connectSocket({ host: "127.0.0.1", port: receiver.port, ...from });
      const session = connect(`http://${receiver.address}`, { createConnection: () => socket });
      for (const one of [socket, session]) one.on("error", () => {});
      const call = session.request({
        ":method": "POST",
        ":path": exportPaths.traces,
        "content-type": "application/grpc",
        te: "trailers",
        ...headersOf(sender),
      });
      calls.push(call);
      const bytes = framed(body);
      call.write(bytes.subarray(0, first + 5));
      call.on("error", () => {});
      call.resume();
      const reply = new Promise<Reply>((resolve) => {
        const onEnd = (end: IncomingHttpHeaders): void => {
          if (end["grpc-status"] === undefined) return;
          const details = [end["grpc-status-details-bin"]].flat()[0];
          const retrySeconds =
            details === undefined ? Number.NaN : retrySecondsIn(Buffer.from(details, "base64"));
          resolve({ status: Number(end["grpc-status"]), retrySeconds });
        };
        call.on("response", onEnd);
        call.on("trailers", onEnd);
      });
      return { reply, finish: () => call.end(bytes.subarray(first + 5)) };
    },
  };
}

/** Bytes that protobuf takes for fields that nobody knows. */
function bodyOf(length: number): Buffer {
  return Buffer.alloc(length, Uint8Array.of(0x78, 0x01));
}

describe.each<[string, typeof httpServer, { taken: number; throttled: number }]>([
  ["HTTP", httpServer, { taken: 200, throttled: 429 }],
  ["gRPC", grpcServer, { taken: 0, throttled: 8 }],
])("over %s", (_transport, start, { taken, throttled }) => {
  test.each<[string, Sender, Sender]>([
    ["by their tokens", { token: "flooder" }, { token: "friend" }],
    ["by their addresses", { from: "127.0.0.1" }, { from: "127.0.0.2" }],
  ])(
    "C-44 C-46 one client that holds more than its share is asked to come back, others are served: told apart %s",
    async (_how, flooder, friend) => {
      const server = await start(flooder.token !== undefined);
      const flood = Array.from({ length: 10 }, () => server.send(flooder, bodyOf(200_000), 100_000));
      const replies: Reply[] = [];
      for (const { reply } of flood) void reply.then((one) => replies.push(one));
      await vi.waitFor(() => expect(replies.length).toBeGreaterThanOrEqual(5), { timeout: 20_000 });
      expect(replies).toEqual(replies.map(() => ({ status: throttled, retrySeconds: 1 })));
      expect(server.throttled()).toBeGreaterThanOrEqual(5);
      expect(server.budget.used).toBeLessThanOrEqual(budgetBytes / 2);

      const other = server.send(friend, bodyOf(200_000));
      other.finish();
      expect((await other.reply).status).toBe(taken);
    },
  );

  test("C-44 a client's only request may take all there is", async () => {
    const server = await start(false);
    for (let i = 0; i < 3; i += 1) {
      const alone = server.send({}, bodyOf(900_000));
      alone.finish();
      expect((await alone.reply).status).toBe(taken);
    }
    expect([server.throttled(), server.budget.used]).toEqual([0, 0]);
  });
});

test("C-44 whoever comes anew finds room, however many hold as much as they may", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.nat(30)), (clients, takes) => {
      const budget = new ByteBudget(10_000, 0.5);
      // two requests each: one alone would have no limit of its own
      const uses = Array.from(
        { length: clients },
        (_, i) => [budget.enter(`${i}`), budget.enter(`${i}`)][0]!,
      );
      const take = (use: ClientUse, bytes: number): boolean => {
        if (budget.isOverShare(use, bytes) || !budget.take(bytes)) return false;
        use.bytes += bytes;
        return true;
      };
      for (const which of takes) take(uses[which % clients]!, which * 100);
      for (const use of uses) while (take(use, 10));
      const free = 10_000 - budget.used;
      expect(free).toBeGreaterThanOrEqual(Math.floor(10_000 / 2 ** clients) - 10);
      const newcomer = budget.enter("newcomer");
      budget.enter("newcomer");
      expect(take(newcomer, Math.floor(free / 2))).toBe(true);
    }),
  );
});
