import { describe, expect, test } from "vitest";
import { rawNaming } from "../../src/model/service-directory.ts";
import { assembleTrace } from "../../src/trace/assemble.ts";
import type { Call } from "../../src/trace/calls.ts";
import { callsOf, callsOfLink, linkTargetOf } from "../../src/trace/extract-calls.ts";
import { groupByTrace } from "../../src/trace/group-rows.ts";
import { directoryOf, spanNamed, tableOf, traceOf, tracesOf } from "../notation.ts";

const kafka = "messaging.system=kafka messaging.destination.name=orders";

function written({ caller, callee, kind, client, server }: Call): string {
  const side = (name: string, seen: Call["client"]): string =>
    seen === null ? "" : ` ${name}${seen.failed ? "!" : ""}`;
  return `${caller} > ${callee} ${kind}${side("client", client)}${side("server", server)}`;
}

/** Calls as `caller > callee kind sides`, `!` after a side that failed. */
function checkCalls(text: string, ...expected: readonly string[]): void {
  const calls = tracesOf(text).flatMap((trace) => callsOf(trace).calls.map(written));
  expect(calls.sort()).toEqual([...expected].sort());
}

/** Requests as `service operation`, `~` before those that only a caller saw. */
function checkEntries(text: string, ...expected: readonly string[]): void {
  const entries = tracesOf(text).flatMap((trace) =>
    callsOf(trace).entries.map(
      ({ service, operation, isInferred }) => `${isInferred ? "~" : ""}${service} ${operation}`,
    ),
  );
  expect(entries.sort()).toEqual([...expected].sort());
}

describe("calls between services", () => {
  test("D4, T14: spans without kinds and local spans between make edges where the service changes", () => {
    checkCalls(
      `
      web        GET /     0..90
        web      work      5..85
          cart   GET /c   10..80
            cart sql      15..75
              db query    20..70`,
      "web > cart sync server",
      "cart > db sync server",
    );
  });

  test("D4: a call between client and server over a local span has both sides", () => {
    checkCalls(
      `
      web         GET      0..90  client error
        web       tcp      5..85  internal
          cart    GET /c  10..80  server`,
      "web > cart sync client! server",
    );
  });

  test("D4: client to client, as gateways report it", () => {
    checkCalls(
      `
      web         GET      0..90  client
        gateway   GET     10..80  client
          cart    GET /c  20..70  server`,
      "web > gateway sync client server",
      "gateway > cart sync client server",
    );
  });

  test("D14: the sides of a call fail apart, and a 404 is no failure of the callee", () => {
    const text = `
      web     GET      0..90  client http.status_code=404
        cart  GET /c  10..80  server http.status_code=404`;
    checkCalls(text, "web > cart sync client! server");
    expect(callsOf(traceOf(text)).calls[0]!.isRefused).toBe(true);
  });

  test("D8, D9: sides keep their own durations; an end before the start counts as zero", () => {
    const { calls } = callsOf(
      traceOf(`
      web     GET      0..90  client
        cart  GET /c  10..5   server`),
    );
    expect(calls[0]!.client!.durationNanos).toBe(90e6);
    expect(calls[0]!.server!.durationNanos).toBe(0);
  });

  test("an unfinished request counts, without a duration", () => {
    const { entries } = callsOf(traceOf("web GET / 0.. server"));
    expect(entries[0]!.durationNanos).toBeNull();
  });

  test("calls inside one service make no edge and no request", () => {
    const text = `
      web    GET /   0..90  server
        web  self   10..80  client
          web GET   20..70  server`;
    checkCalls(text);
    checkEntries(text, "web GET /");
  });

  test("D5: halves that share a span id are caller and callee", () => {
    checkCalls(
      `
      a    GET  0..90   client id=1
      b    GET 10..80   server id=1 parent=none
      b    GET 20..70   client id=2 parent=1
      c    GET 30..60   server id=2 parent=1`,
      "a > b sync client server",
      "b > c sync client server",
    );
  });

  test("D13, D18: services without a name and callees without a description stay apart by caller", () => {
    checkCalls(
      `
      -      work   0..90
        -    call  10..20  client
        web  GET   30..80  server
          web call 40..50  client`,
      "unknown_service > unknown (called by unknown_service) inferred client",
      "unknown_service > web sync server",
      "web > unknown (called by web) inferred client",
    );
  });

  test("T16: a diamond keeps both ways", () => {
    checkCalls(
      `
      a      GET    0..90  server
        b    GET   10..40  server
          d  GET   15..30  server
        c    GET   50..80  server
          d  GET2  55..70  server`,
      "a > b sync server",
      "a > c sync server",
      "b > d sync server",
      "c > d sync server",
    );
  });

  test("T16: one service alone has requests and no edge", () => {
    checkCalls("web GET / 0..90 server");
    checkEntries("web GET / 0..90 server", "web GET /");
  });

  test("D1, D11, D12, T13: halves that arrive apart, in other batches, out of order and twice are one call", () => {
    const [client, server] = [
      "web GET 0..90 client id=1 parent=none",
      "cart GET /c 10..80 server id=2 parent=1",
    ];
    const tables = [server, client, server].map((line) => tableOf(line));
    const groups = groupByTrace(tables);
    const trace = assembleTrace(groups.rowsOf(0), directoryOf(tables));
    expect(callsOf(trace).calls.map(written)).toEqual(["web > cart sync client server"]);
    expect(callsOf(trace).entries.length).toBe(2);
  });

  test("T15: what is below a missing parent is still counted", () => {
    const text = `
      cart  GET /c   10..80  server parent=77
        db  query    20..70  server`;
    checkCalls(text, "cart > db sync server");
    checkEntries(text, "cart GET /c", "db query");
  });

  test("timeouts and rate limits are counted as the caller saw them", () => {
    const { entries } = callsOf(
      traceOf(`
      web     GET      0..90  client error error.type=timeout
        cart  GET /c  10..95  server
      web     GET      0..90  client http.response.status_code=429 parent=none
        cart  GET /d  10..80  server http.response.status_code=429`),
    );
    const facts = entries
      .filter(({ service }) => service === "cart")
      .map(({ timedOut, rateLimited }) => [timedOut, rateLimited]);
    expect(facts).toEqual([
      [true, false],
      [false, true],
    ]);
  });
});

describe("peers without spans", () => {
  test("T10: an uninstrumented database is a node of its own", () => {
    checkCalls(
      `
      cart    GET /c        0..90  server
        cart  SELECT items 10..80  client db.system=postgresql db.name=shop server.address=pg error`,
      "cart > shop inferred client!",
    );
  });

  test("T11, D6: a database that sends spans is one node", () => {
    checkCalls(
      `
      cart    GET /c        0..90  server
        cart  SELECT items 10..80  client db.system=postgresql db.name=shop
          pg  query        20..70  server`,
      "cart > pg sync client server",
    );
  });

  test("D7: both generations of database attributes", () => {
    checkCalls(
      `
      cart    GET /c    0..90  server
        cart  a        10..20  client db.system.name=postgresql db.namespace=shop
        cart  b        20..30  client db.system=redis net.peer.name=Cache net.peer.port=6379
        cart  c        30..40  client db.system.name=redis db.namespace=0 server.address=cache
        cart  d        40..50  client db.name=shop`,
      "cart > shop inferred client",
      "cart > redis@cache inferred client",
      "cart > redis@cache inferred client",
      "cart > shop inferred client",
    );
  });

  test("T12: two servers with a database of the same name are two nodes", () => {
    checkCalls(
      `
      cart    GET /c    0..90  server
        cart  a        10..20  client db.system=postgresql db.name=shop server.address=pg1
        cart  b        20..30  client db.system=postgresql db.name=shop server.address=pg2
        cart  c        30..40  client db.system=postgresql db.name=users server.address=pg1`,
      "cart > shop@pg1 inferred client",
      "cart > shop@pg2 inferred client",
      "cart > users inferred client",
    );
  });

  test("T12: two topics of one broker are two nodes, one topic of two brokers is one", () => {
    checkCalls(
      `
      shop   send  0..5   producer ${kafka} server.address=k1
      shop   send  5..9   producer ${kafka} server.address=k2 parent=none
      shop   send  9..12  producer messaging.system=kafka messaging.destination.name=mails parent=none`,
      "shop > kafka:orders inferred client",
      "shop > kafka:orders inferred client",
      "shop > kafka:mails inferred client",
    );
  });

  test("a temporary destination is no name", () => {
    checkCalls(
      "shop send 0..5 producer messaging.system=rabbitmq messaging.destination.name=amq.gen-1 messaging.destination.temporary=true server.address=mq",
      "shop > rabbitmq@mq inferred client",
    );
  });

  test("names come in the order of the conventions", () => {
    checkCalls(
      `
      web    GET /   0..99  server
        web  a      10..11  client service.peer.name=pay peer.service=old db.system=mysql
        web  b      11..12  client peer.service=old server.address=x
        web  c      12..13  client rpc.system=grpc server.address=grpc.host rpc.service=pkg.Svc
        web  d      13..14  client url.full=https://user@Api.Stripe.com:8443/v1?q=1
        web  e      14..15  client http.url=http://[::1]:80/x
        web  f      15..16  client network.peer.address=10.0.0.1
        web  g      16..17  client rpc.system=aws-api rpc.service=S3
        web  h      17..18  client faas.invoked_name=resize
        web  i      18..19  client http.host=shop.example:80
        web  j      19..20  client rpc.system.name=grpc rpc.method=shop.Cart/GetItems
        web  k      20..21  client db.system.name=postgresql db.system=old db.namespace=orders db.name=old server.address=h
        web  l      21..22  client db.system=mysql net.peer.name=h2
        web  m      22..23  producer messaging.system=kafka messaging.destination.name=new messaging.destination=old
        web  n      23..24  client net.sock.peer.name=sock net.peer.ip=10.0.0.2
        web  o      24..25  client db.system=redis db.redis.database_index=3 net.peer.name=cache`,
      "web > pay inferred client",
      "web > old inferred client",
      "web > grpc.host inferred client",
      "web > api.stripe.com inferred client",
      "web > ::1 inferred client",
      "web > 10.0.0.1 inferred client",
      "web > S3 inferred client",
      "web > resize inferred client",
      "web > shop.example inferred client",
      "web > shop.Cart inferred client",
      "web > orders inferred client",
      "web > mysql@h2 inferred client",
      "web > kafka:new inferred client",
      "web > sock inferred client",
      "web > redis@cache inferred client",
    );
  });

  test("two ports of one host are told apart only where both occur", () => {
    checkCalls(
      `
      web    GET /  0..99  server
        web  a     10..11  client server.address=localhost server.port=3001
        web  b     11..12  client server.address=localhost server.port=3002
        web  c     12..13  client server.address=api server.port=443`,
      "web > localhost:3001 inferred client",
      "web > localhost:3002 inferred client",
      "web > api inferred client",
    );
  });

  test("an address of a known service is an inferred call to it", () => {
    checkCalls(
      `
      web     GET /  0..99  server
        web   a     10..11  client server.address=10.0.0.7 error
        web   b     12..13  client server.address=cart.shop.svc.cluster.local
      cart    job    0..5   host=node7 parent=none resource.k8s.pod.ip=10.0.0.7 resource.k8s.service.name=cart`,
      "web > cart inferred client!",
      "web > cart inferred client",
    );
  });

  test("a library over another one: the outer span's database, not the inner one's address", () => {
    checkCalls(
      `
      web      GET /     0..99  server
        web    GetItem  10..80  client db.system=dynamodb db.namespace=carts
          web  POST     20..70  client server.address=dynamodb.eu-west-1.amazonaws.com`,
      "web > carts inferred client",
    );
  });

  test("an unreachable peer says so", () => {
    const { entries } = callsOf(
      traceOf(`
      web    GET /  0..99  server
        web  a     10..11  client error server.address=pay exception="Error: connect ECONNREFUSED 10.0.0.5:80"`),
    );
    expect(entries.map(({ unreachable }) => unreachable)).toEqual([null, "connect ECONNREFUSED 10.0.0.5:80"]);
  });
});

describe("messages", () => {
  test("D2, D15: one producer, three consumers, and the destination between", () => {
    checkCalls(
      `
      shop      send     0..5   producer ${kafka}
        mail    process 10..20  consumer ${kafka}
        stock   process 11..20  consumer ${kafka}
        stock   process 12..20  consumer`,
      "shop > kafka:orders inferred client",
      "shop > mail async client server",
      "shop > stock async client server",
      "shop > stock async client server",
      "kafka:orders > mail inferred server",
      "kafka:orders > stock inferred server",
      "kafka:orders > stock inferred server",
    );
  });

  test("a link within the trace is an asynchronous call", () => {
    checkCalls(
      `
      shop     send     0..5   producer id=7 ${kafka}
      mail     batch   10..20  consumer link=7 link=7 parent=none`,
      "shop > kafka:orders inferred client",
      "shop > mail async client server",
      "kafka:orders > mail inferred server",
    );
  });

  test("a link to the parent is not a second call", () => {
    checkCalls(
      `
      shop     send     0..5   producer id=7
        mail   process 10..20  consumer link=7`,
      "shop > mail async client server",
    );
  });

  test("D3, T9: a link to another trace becomes a call when its target is known", () => {
    const [producer, consumer] = tracesOf(`
      shop   send     0..5   producer id=7 ${kafka}
      mail   process 10..20  consumer parent=none trace=2 link=1/7 error`);
    const { openLinks, calls } = callsOf(consumer!);
    expect(calls).toEqual([]);
    expect(openLinks.map(({ traceId, spanId }) => [traceId.slice(-1), spanId.slice(-1)])).toEqual([
      ["1", "7"],
    ]);
    const target = linkTargetOf(producer!, spanNamed(producer!, "send"));
    expect(callsOfLink(openLinks[0]!, target).map(written)).toEqual([
      "shop > mail async client server!",
      "kafka:orders > mail inferred server!",
    ]);
  });

  test("fetching is a hop from the destination, acknowledging is none", () => {
    checkCalls(
      `
      mail    poll     0..9  internal
        mail  receive  1..3  client messaging.operation.type=receive ${kafka}
        mail  ack      4..5  client messaging.operation.type=settle ${kafka}`,
      "kafka:orders > mail inferred server",
    );
  });

  test("links to nowhere and to oneself are harmless", () => {
    checkCalls("web GET 0..9 id=1 link=1 link=99 link=0/0");
  });
});

describe("names", () => {
  test("keys that outlive a change of names become the names that reports use", () => {
    const text = `
      cart    GET /c   0..90  server namespace=shop
        cart  a       10..20  client db.system=postgresql db.name=orders server.address=pg1
        cart  b       20..30  client db.system=postgresql db.name=orders server.address=pg2
        cart  c       30..40  client
        cart  d       40..50  client server.address=node9
      cart    GET /c   0..90  server namespace=test parent=none
      pay     job      0..90  server host=node9 parent=none`;
    const directory = directoryOf([tableOf(text)]);
    const { calls } = callsOf(traceOf(text, rawNaming));
    expect(
      calls.map(({ caller, callee }) => [directory.nameOfKey(caller), directory.nameOfKey(callee)]),
    ).toEqual([
      ["shop/cart", "orders@pg1"],
      ["shop/cart", "orders@pg2"],
      ["shop/cart", "unknown (called by shop/cart)"],
      ["shop/cart", "pay"],
    ]);
  });

  test("T17: a sampled trace stands for others", () => {
    const trace = traceOf("web GET 0..9 server tracestate=other=1,ot=rv:1;th:f");
    expect(trace.weight).toBe(16);
    expect(callsOf(trace).entries[0]!.weight).toBe(16);
    expect(trace.problems.map(({ kind }) => kind)).toEqual(["sampled"]);
  });

  test("a span that others were merged into counts as often as it says, with their mean duration", () => {
    const merged =
      "aggregation.is_summary=true aggregation.span_count=40 aggregation.duration_avg_ns=2000000";
    const trace = traceOf(`
      web   GET    0..90 server
        web SELECT 0..80 client db.system=mysql ${merged}`);
    const [request, query] = callsOf(trace).entries;
    expect([request!.weight, request!.durationNanos]).toEqual([1, 90e6]);
    expect([query!.weight, query!.durationNanos]).toEqual([40, 2e6]);
    expect(callsOf(trace).calls[0]).toMatchObject({ weight: 40, client: { durationNanos: 2e6 } });
    expect(trace.problems).toMatchObject([{ kind: "summary_span", count: 1 }]);
  });

  test.each(["aggregation.span_count=40", "aggregation.is_summary=true aggregation.span_count=-3"])(
    "a span with %s counts once",
    (attributes) => {
      expect(callsOf(traceOf(`web GET 0..9 server ${attributes}`)).entries[0]!.weight).toBe(1);
    },
  );
});
