import { expect, test } from "vitest";
import { loadSettings, type SettingSources } from "../../src/config/load-settings.ts";
import type { SettingKey } from "../../src/config/settings.ts";
import { OperationError } from "../../src/engine/errors/operation-error.ts";

interface Sources {
  readonly flags?: Readonly<Record<string, readonly string[]>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly file?: unknown;
}

function load({ flags = {}, env = {}, file }: Sources) {
  const sources: SettingSources = {
    flags: new Map(Object.entries(flags)) as ReadonlyMap<SettingKey, readonly string[]>,
    environment: env,
    file: file === undefined ? null : { path: "hypocenter.yaml", content: file },
  };
  return loadSettings(sources);
}

function checkRefused(sources: Sources, message: RegExp, hint = /./): void {
  const error = refusal(sources);
  expect(error.message).toMatch(message);
  expect(error.hint).toMatch(hint);
}

function refusal(sources: Sources): OperationError {
  try {
    load(sources);
  } catch (error) {
    if (error instanceof OperationError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

test("flags win over the environment, the environment over the file, the file over the defaults", () => {
  const file = { port: 3, http_port: 3, grpc_port: 3 };
  const env = { HYPOCENTER_PORT: "2", HYPOCENTER_HTTP_PORT: "2" };
  const { values, origins } = load({ flags: { port: ["1"] }, env, file });
  expect([values.port, values.http_port, values.grpc_port, values.host]).toEqual([1, 2, 3, "127.0.0.1"]);
  expect(
    ["port", "http_port", "grpc_port", "host"].map((key) => origins.get(key as SettingKey)?.source),
  ).toEqual(["--port", "HYPOCENTER_HTTP_PORT", "hypocenter.yaml", "default"]);
});

test("an unknown name is refused and the nearest one named", () => {
  checkRefused({ file: { grpcport: 4317 } }, /Unknown key "grpcport" in hypocenter.yaml/, /grpc_port/);
  checkRefused({ env: { HYPOCENTER_HTTP_PROT: "1" } }, /HYPOCENTER_HTTP_PROT/, /HYPOCENTER_HTTP_PORT/);
});

test("a value out of bounds is refused with what is expected and where it stands", () => {
  checkRefused({ flags: { port: ["70000"] } }, /--port: "70000"/, /0 to 65535/);
  checkRefused({ env: { HYPOCENTER_LANG: "fr" } }, /lang \(HYPOCENTER_LANG\): "fr"/, /en, ko/);
  checkRefused({ file: { trace_idle: 10 } }, /trace_idle \(hypocenter.yaml\): "10"/, /100ms to 1h/);
});

test("sizes, durations, times, lists and speeds are read in their units", () => {
  const { values } = load({
    flags: {
      baseline: ["a.jsonl", "b.jsonl"],
      from: ["now-1h"],
      to: ["2026-05-01T12:00:00Z"],
      speed: ["max"],
    },
    env: { HYPOCENTER_STORE_MEMORY: "2GB", HYPOCENTER_ALLOWED_HOSTS: "a.test,b.test" },
    file: { trace_idle: "1.5s", memory_budget: "64MiB", signals: "traces,logs" },
  });
  expect(values.baseline).toEqual(["a.jsonl", "b.jsonl"]);
  expect(values.from).toEqual({ kind: "before_now", nanos: 3_600_000_000_000n });
  expect(values.to).toEqual({ kind: "absolute", time: 1_777_636_800_000_000_000n });
  expect(values.speed).toBe(Number.POSITIVE_INFINITY);
  expect(values.store_memory).toBe(2e9);
  expect(values.allowed_hosts).toEqual(["a.test", "b.test"]);
  expect([values.trace_idle, values.memory_budget]).toEqual([1500, 64 * 2 ** 20]);
  expect(values.signals).toEqual(["traces", "logs"]);
});

test("the file may refer to the environment, with a default", () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is the notation of the file
  const file = { host: "${env:LISTEN}", port: "${env:PORT_OF_API:-99}" };
  const { values } = load({ env: { LISTEN: "0.0.0.0" }, file });
  expect([values.host, values.port]).toEqual(["0.0.0.0", 99]);
  checkRefused({ file }, /host in hypocenter.yaml refers to the environment variable LISTEN/, /:-default/);
});

test("variables that Kubernetes sets for a service of the same name are not ours", () => {
  const env = {
    HYPOCENTER_PORT: "tcp://10.0.0.1:4320",
    HYPOCENTER_SERVICE_HOST: "10.0.0.1",
    HYPOCENTER_SERVICE_PORT_OTLP: "4317",
    HYPOCENTER_PORT_4317_TCP_ADDR: "10.0.0.1",
  };
  expect(load({ env }).values.port).toBe(4320);
});

test("a file that is no map of plain values is refused", () => {
  checkRefused({ file: ["port"] }, /not a map/);
  checkRefused({ file: { port: { number: 1 } } }, /port in hypocenter.yaml must be one value/, /^$|./);
  expect(load({ file: null }).values.port).toBe(4320);
});
