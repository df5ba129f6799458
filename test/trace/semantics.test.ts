import { describe, expect, test } from "vitest";
import type { AnyValue } from "../../src/model/attributes.ts";
import { semanticsOf } from "../../src/trace/semantics.ts";
import { tableOf } from "../notation.ts";

function checkFailed(words: string, expected: boolean): void {
  expect([words, semanticsOf(tableOf(`web GET 0..9 ${words}`)).failed(0)]).toEqual([words, expected]);
}

function checkError(words: string, expected: object | null): void {
  const error = semanticsOf(tableOf(`web GET 0..9 ${words}`)).errorOf(0);
  if (expected === null) expect(error).toBeNull();
  else expect({ words, ...error }).toMatchObject({ words, ...expected });
}

describe("whether a span failed", () => {
  test("its status decides where it is set", () => {
    checkFailed("server error", true);
    checkFailed("server ok http.status_code=500 error.type=x", false);
    checkFailed("server", false);
  });

  test("HTTP: 4xx fails for the caller only; codes come as text too; unreadable ones are failures", () => {
    checkFailed("client http.response.status_code=404", true);
    checkFailed("server http.response.status_code=404", false);
    checkFailed("server http.response.status_code=404 error.type=404", false);
    checkFailed("server http.status_code=503", true);
    checkFailed('server http.status_code="500"', true);
    checkFailed("server http.status_code=500.0", true);
    checkFailed("client http.status_code=abc", true);
    checkFailed("client http.status_code=302", false);
    checkFailed('client http.response.status_code="" http.status_code=500', true);
  });

  test("gRPC: every code fails for the caller, six of them for the server; numbers and names", () => {
    checkFailed("client rpc.grpc.status_code=5", true);
    checkFailed("server rpc.grpc.status_code=5", false);
    checkFailed("server rpc.grpc.status_code=13", true);
    checkFailed("server rpc.status_code=UNAVAILABLE", true);
    checkFailed("server rpc.status_code=NOT_FOUND", false);
    checkFailed("client rpc.response.status_code=OK", false);
    checkFailed("client rpc.status_code=0", false);
    checkFailed("client rpc.connect_rpc.error_code=not_found", true);
  });

  test.each(
    [
      ["OK", false, false],
      ["CANCELLED", true, false],
      ["UNKNOWN", true, true],
      ["INVALID_ARGUMENT", true, false],
      ["DEADLINE_EXCEEDED", true, true],
      ["NOT_FOUND", true, false],
      ["ALREADY_EXISTS", true, false],
      ["PERMISSION_DENIED", true, false],
      ["RESOURCE_EXHAUSTED", true, false],
      ["FAILED_PRECONDITION", true, false],
      ["ABORTED", true, false],
      ["OUT_OF_RANGE", true, false],
      ["UNIMPLEMENTED", true, true],
      ["INTERNAL", true, true],
      ["UNAVAILABLE", true, true],
      ["DATA_LOSS", true, true],
      ["UNAUTHENTICATED", true, false],
    ].map((row, code) => [code, ...row] as [number, string, boolean, boolean]),
  )("gRPC code %i, %s: fails for the caller %s, for the server %s", (code, name, atCaller, atServer) => {
    for (const words of [`rpc.grpc.status_code=${code}`, `rpc.status_code=${name}`]) {
      checkFailed(`client ${words}`, atCaller);
      checkFailed(`server ${words}`, atServer);
      checkFailed(`server ok ${words}`, false);
    }
  });

  test.each([
    [100, false, false],
    [200, false, false],
    [399, false, false],
    [400, true, false],
    [429, true, false],
    [499, true, false],
    [500, true, true],
    [599, true, true],
  ])("HTTP %i: fails for the caller %s, for the server %s", (code, atCaller, atServer) => {
    for (const words of [`http.response.status_code=${code}`, `http.status_code=${code}`]) {
      checkFailed(`client ${words}`, atCaller);
      checkFailed(`server ${words}`, atServer);
      checkFailed(`client ok ${words}`, false);
      checkFailed(`server error ${words}`, true);
    }
  });

  test("error.type and error flags fail, a recorded exception alone does not", () => {
    checkFailed("internal error.type=timeout", true);
    checkFailed("internal error=true", true);
    checkFailed("internal error=false", false);
    checkFailed('internal exception="E: handled"', false);
  });

  test("names that turn up only after the first question are known too", () => {
    const table = tableOf("web GET 0..9 client");
    const semantics = semanticsOf(table);
    expect(semantics.failed(0)).toBe(false);
    const row = table.addRow(0, 0);
    table.kind[row] = 2;
    table.attributes.addValue(table.strings.intern("http.status_code"), 500n);
    table.attributeEnd[row] = table.attributes.length;
    expect(semantics.failed(row)).toBe(true);
  });
});

describe("what a failed span says", () => {
  test("kinds of failure", () => {
    checkError("client error error.type=timeout", { kind: "timeout", type: "timeout" });
    checkError("client http.status_code=504", { kind: "timeout", type: "504" });
    checkError("client rpc.grpc.status_code=4", { kind: "timeout", type: "DEADLINE_EXCEEDED" });
    checkError("client rpc.grpc.status_code=14", { kind: "unreachable", type: "UNAVAILABLE" });
    checkError("server rpc.grpc.status_code=14", { kind: "status", type: "UNAVAILABLE" });
    checkError("client http.status_code=499", { kind: "cancelled" });
    checkError('client error status="context canceled"', { kind: "cancelled", message: "context canceled" });
    checkError('client error exception="Error: connect ECONNREFUSED 127.0.0.1:80"', {
      kind: "unreachable",
      type: "Error",
    });
    checkError('client error exception="Error: getaddrinfo ENOTFOUND pay"', { kind: "unreachable" });
    checkError('client error exception="Error: connect ETIMEDOUT 10.0.0.1:80"', { kind: "unreachable" });
    checkError('client error exception="Error: read ETIMEDOUT"', { kind: "timeout" });
    checkError("client error error.type=java.net.ConnectException", { kind: "unreachable" });
    checkError('client error exception="TypeError: x is undefined"', {
      kind: "exception",
      type: "TypeError",
    });
    checkError("client http.status_code=500", { kind: "status", type: "500" });
    checkError("client error error.type=_OTHER db.response.status_code=40P01", {
      kind: "status",
      type: "40P01",
    });
    checkError("server error", null);
    checkError("server", null);
  });

  test("too many requests", () => {
    const limited = (words: string): boolean => semanticsOf(tableOf(`web GET 0..9 ${words}`)).rateLimited(0);
    expect(limited("client http.response.status_code=429")).toBe(true);
    expect(limited("client rpc.status_code=RESOURCE_EXHAUSTED")).toBe(true);
    expect(limited("client http.response.status_code=503")).toBe(false);
  });
});

describe("who a span belongs to", () => {
  test("identity: instance, clock, every address of an array", () => {
    const table = tableOf(
      "cart GET 0..9 host=N1 namespace=shop resource.process.pid=7 resource.k8s.service.name=cart",
    );
    table.resources.attributeStart[0] = table.attributes.length;
    for (const [key, value] of [
      ["service.name", 5n],
      ["host.name", "N1"],
      ["host.ip", ["10.0.0.1", "FE80::1"]],
      ["process.pid", 7n],
    ] as const)
      table.attributes.addValue(table.strings.intern(key), value);
    table.resources.attributeEnd[0] = table.attributes.length;
    expect(semanticsOf(table).identityOf(0)).toEqual({
      name: "5",
      namespace: "",
      environment: "",
      version: "",
      instance: "N1:7",
      host: "10.0.0.1",
      addresses: ["n1", "10.0.0.1", "fe80::1"],
    });
  });

  test("what was made of a resource is used again for no other one", () => {
    const addressesOf = (...addresses: readonly AnyValue[]): readonly string[] => {
      const table = tableOf("cart GET 0..9");
      table.resources.attributeStart[0] = table.attributes.length;
      for (const address of addresses) table.attributes.addValue(table.strings.intern("host.ip"), address);
      table.resources.attributeEnd[0] = table.attributes.length;
      return semanticsOf(table).identityOf(0).addresses;
    };
    expect(addressesOf(["a", "b"])).toEqual(["a", "b"]);
    expect(addressesOf(["a, b"])).toEqual(["a, b"]);
    expect(addressesOf("[a, b]")).toEqual(["[a, b]"]);
    expect(addressesOf(["a", "b"], "c")).toEqual(["c"]);
    expect(addressesOf(["a"])).toEqual(["a"]);
  });

  test("a service without a name is told by its program", () => {
    const name = (words: string): string => semanticsOf(tableOf(`- GET 0..9 ${words}`)).identityOf(0).name;
    expect(name("")).toBe("unknown_service");
    expect(name("resource.process.executable.name=java")).toBe("unknown_service:java");
  });

  test("endless names are cut and stay different", () => {
    const name = (end: string): string =>
      semanticsOf(tableOf(`${"x".repeat(400)}${end} GET 0..9`)).identityOf(0).name;
    expect(name("a").length).toBe(255);
    expect(name("a")).not.toBe(name("b"));
  });
});

describe("sampling weights", () => {
  test("from the threshold in the trace state", () => {
    const weight = (state: string): number =>
      semanticsOf(tableOf(`web GET 0..9 tracestate=${state}`)).weightOf(0);
    expect(weight("ot=th:8")).toBe(2);
    expect(weight("a=b,ot=rv:0;th:fd70a4")).toBeCloseTo(100, 3);
    expect(weight("ot=th:0")).toBe(1);
    expect(weight("ot=rv:1")).toBe(1);
    expect(weight("xot=th:8")).toBe(1);
  });

  test("a threshold that lets next to nothing through makes no endless weight", () => {
    const table = tableOf("web GET 0..9 tracestate=ot=th:ffffffffffffff");
    expect(semanticsOf(table).weightOf(0)).toBe(2 ** 20);
  });
});
