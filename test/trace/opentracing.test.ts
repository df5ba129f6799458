import { describe, expect, test } from "vitest";
import { SpanKind } from "../../src/model/span-table.ts";
import { callsOf } from "../../src/trace/extract-calls.ts";
import { semanticsOf } from "../../src/trace/semantics.ts";
import { tableOf, traceOf } from "../notation.ts";

/** Who a client span with these tags calls, as `kind name`. */
function checkCallee(tags: string, expected: string): void {
  const [call] = callsOf(traceOf(`web GET 0..9 ${tags.includes("producer") ? "" : "client"} ${tags}`)).calls;
  expect([tags, call && `${call.calleeKind} ${call.callee}`]).toEqual([tags, expected]);
}

/** Whether and why a span failed, as `kind type: message`; null = it did not. */
function checkFailure(words: string, expected: string | null): void {
  const semantics = semanticsOf(tableOf(`web GET 0..9 ${words}`));
  const error = semantics.errorOf(0);
  const said = semantics.failed(0) ? `${error?.kind} ${error?.type}: ${error?.message}` : null;
  expect([words, said]).toEqual([words, expected]);
}

describe("who is called, in the words of OpenTracing", () => {
  test("a host, whatever says it", () => {
    checkCallee("peer.hostname=Stock peer.port=80", "external stock");
    checkCallee("peer.hostname=stock:80", "external stock");
    checkCallee("peer.address=10.0.0.7:8080", "external 10.0.0.7");
    checkCallee("peer.address=jdbc:mysql://prod-db:3306/orders", "external prod-db");
    checkCallee("peer.ipv4=10.0.0.7", "external 10.0.0.7");
    checkCallee("peer.ipv4=167772167", "external 10.0.0.7");
    checkCallee("peer.ipv4=-1062731775", "external 192.168.0.1");
    checkCallee("peer.ipv6=fe80::1", "external fe80::1");
    checkCallee("peer.hostname=stock peer.ipv4=10.0.0.7", "external stock");
    checkCallee("peer.service=stock peer.hostname=host-7", "service stock");
  });

  test("a database by its instance, else by its kind and host", () => {
    checkCallee("db.type=mysql db.instance=orders peer.hostname=db-1", "database orders");
    checkCallee("db.type=cassandra peer.hostname=db-1", "database cassandra@db-1");
    checkCallee("db.type=mysql peer.address=mysql://db-1:3306", "database mysql@db-1");
    checkCallee("db.type=redis db.instance=0 peer.hostname=cache", "database redis@cache");
    checkCallee("db.type=sql peer.service=ledger", "database ledger");
  });

  test("a topic, and by the library whose it is", () => {
    checkCallee("producer message_bus.destination=orders component=java-kafka", "messaging kafka:orders");
    checkCallee("producer message_bus.destination=orders", "messaging messaging:orders");
  });

  test("a word of OpenTelemetry beats one of OpenTracing, old as it may be", () => {
    checkCallee("server.address=new peer.hostname=old", "external new");
    checkCallee("net.peer.name=new peer.hostname=old", "external new");
    checkCallee("url.full=http://new/a peer.hostname=old", "external new");
    checkCallee("http.host=new peer.address=old", "external new");
    checkCallee("network.peer.address=10.0.0.1 peer.hostname=old", "external 10.0.0.1");
    checkCallee("db.system.name=postgresql db.type=sql server.address=pg", "database postgresql@pg");
    checkCallee("db.system=mysql db.namespace=new db.instance=old", "database new");
    checkCallee(
      "producer messaging.system=pulsar messaging.destination.name=new message_bus.destination=old component=java-kafka",
      "messaging pulsar:new",
    );
  });

  test("one service by its address, whichever words the caller has", () => {
    const callees = callsOf(
      traceOf(`
      web     GET /   0..90  server
        web   GET    10..20  client  server.address=cart-1
        web   GET    30..40  client  peer.hostname=cart-1 peer.port=80
        web   GET    50..80  client
          cart GET   55..75  server  host=cart-1`),
    ).calls.map(({ callee }) => callee);
    expect(callees).toEqual(["cart", "cart", "cart"]);
  });
});

test("a span without a kind has that of its tag, else what it says of a database makes it a call", () => {
  const kindOf = (words: string) => semanticsOf(tableOf(`web GET 0..9 ${words}`)).kindOf(0);
  expect(kindOf("span.kind=server peer.service=caller")).toBe(SpanKind.Server);
  expect(kindOf("span.kind=Client")).toBe(SpanKind.Client);
  expect(kindOf("span.kind=rpc")).toBe(SpanKind.Internal);
  expect(kindOf("db.type=sql")).toBe(SpanKind.Client);
  expect(kindOf("consumer span.kind=server")).toBe(SpanKind.Consumer);
});

describe("failures, in the words of OpenTracing and Zipkin", () => {
  test("the tag is true, or the message itself", () => {
    checkFailure("server error=true", "undefined undefined: undefined");
    checkFailure('server error="true" http.status_code=503', "status 503: ");
    checkFailure('client error="connect: connection refused"', "unreachable : connect: connection refused");
    checkFailure('client error=true error.message="read timed out"', "timeout : read timed out");
    for (const none of ["false", "False", "0", "none", '""']) checkFailure(`server error=${none}`, null);
    checkFailure('server ok error="handled"', null);
  });

  /** The same with a log that has these fields, in the way that the Collector passes it on. */
  function checkLogged(words: string, fields: string, expected: string | null): void {
    const table = tableOf(`web GET 0..9 ${words}\nlog - 0..0 ${fields}`);
    const event = table.events.add();
    table.events.name[event] = table.strings.intern(/event=(\S+)/.exec(fields)?.[1] ?? "");
    table.events.attributeStart[event] = table.attributeStart[1]!;
    table.events.attributeEnd[event] = table.attributeEnd[1]!;
    table.eventEnd[0] = table.events.length;
    const semantics = semanticsOf(table);
    const error = semantics.errorOf(0);
    expect([fields, semantics.failed(0) ? `${error?.kind} ${error?.type}: ${error?.message}` : null]).toEqual(
      [fields, expected],
    );
  }

  test("logs of errors say why a span failed, and make no failure", () => {
    const words = "client error=true";
    checkLogged(words, 'event=error error.kind=IOError message="no reply"', "exception IOError: no reply");
    checkLogged(words, 'event=error error.object="dial tcp: i/o"', "unreachable : dial tcp: i/o");
    checkLogged(words, 'error="context canceled"', "cancelled : context canceled");
    checkLogged(words, 'message="cache is warm"', "undefined undefined: undefined");
    checkLogged(
      `${words} exception="Lost: of OpenTelemetry"`,
      "event=error error.kind=IOError",
      "exception Lost: of OpenTelemetry",
    );
    checkLogged("client", "event=error error.kind=IOError", null);
  });
});
