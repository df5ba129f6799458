import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { otlpServer } from "./otlp-server.ts";

const body = Buffer.from(encodeTraces(rowsOf(tableOf("web GET / 0..9ms server"))));
const head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n";
const whole = Buffer.concat([Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`), body]);
const timeouts = { headersMs: 50, requestMs: 100, keepAliveMs: 5_000, checkMs: 20 };

test("a client that never ends its headers is answered 408 and cut", async () => {
  const { socket, received } = await open({ timeouts });
  socket.write(head);
  await once(socket, "close");
  expect(received()).toMatch(/^HTTP\/1\.1 408 /);
});

test("a client that sends its body by drips is cut, and what it took is given back", async () => {
  const { socket, server, received } = await open({ timeouts });
  socket.write(`${head}Content-Length: 1000\r\n\r\n`);
  const drip = setInterval(() => socket.write("x"), 20);
  await once(socket, "close");
  clearInterval(drip);
  expect(received()).toMatch(/^HTTP\/1\.1 408 /);
  await expect.poll(() => server.count("aborted_requests_total")).toBe(1);
  expect(server.budget.used).toBe(0);
});

test("headers without end are refused before they fill memory", async () => {
  const { socket, received } = await open();
  socket.write(`${head}X-Long: ${"x".repeat(17_000)}`);
  await once(socket, "close");
  expect(received()).toMatch(/^HTTP\/1\.1 431 /);
});

test("a body in chunks of one byte is one body", async () => {
  const { socket, server, received } = await open();
  socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
  for (const byte of body) socket.write(Buffer.from([0x31, 13, 10, byte, 13, 10]));
  socket.write("0\r\n\r\n");
  await expect.poll(received).toMatch(/^HTTP\/1\.1 200 /);
  expect(server.count("accepted_spans_total")).toBe(1);
});

test("a client that asks first is told to go on", async () => {
  const { socket, received } = await open();
  socket.write(`${head}Expect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`);
  await expect.poll(received).toBe("HTTP/1.1 100 Continue\r\n\r\n");
  socket.write(body);
  await expect.poll(received).toMatch(/HTTP\/1\.1 200 /);
});

test("requests one behind the other on one connection are all answered, in order", async () => {
  const { socket, server, received } = await open();
  const other = Buffer.from("GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n");
  socket.write(Buffer.concat([whole, other, whole]));
  await expect
    .poll(() => received().match(/HTTP\/1\.1 \d+/g))
    .toEqual(["200", "404", "200"].map((status) => `HTTP/1.1 ${status}`));
  expect(server.count("accepted_spans_total")).toBe(2);
});

test("an upload of gzip members that breaks off leaves nothing behind", async () => {
  const { socket, server } = await open();
  const members = Buffer.concat([gzipSync(body.subarray(0, 20)), gzipSync(body.subarray(20))]);
  socket.write(`${head}Content-Encoding: gzip\r\nContent-Length: ${members.length}\r\n\r\n`);
  socket.write(members.subarray(0, -5));
  await expect.poll(() => server.budget.used).toBeGreaterThan(0);
  socket.destroy();
  await expect.poll(() => server.count("aborted_requests_total")).toBe(1);
  expect([server.budget.used, server.handed.length]).toEqual([0, 0]);
});

test.each([
  ["what is no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
  ["two lengths", `${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\n`, 400],
  ["a length and chunks", `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`, 400],
  ["a length that is no number", `${head}Content-Length: -1\r\n\r\n`, 400],
])("%s is refused, and the next client is served", async (_, bytes, status) => {
  const { socket, server, received } = await open();
  socket.write(bytes, "latin1");
  await once(socket, "close");
  expect(received()).toContain(`HTTP/1.1 ${status} `);
  expect((await server.send("/v1/traces", { "content-type": "application/x-protobuf" }, body)).status).toBe(
    200,
  );
});

async function open(options: Parameters<typeof otlpServer>[0] = {}): Promise<{
  readonly socket: Socket;
  readonly server: Awaited<ReturnType<typeof otlpServer>>;
  readonly received: () => string;
}> {
  const server = await otlpServer(options);
  const socket = connect(server.listener.port, "127.0.0.1");
  let received = "";
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => {
    received += text;
  });
  socket.on("error", () => {});
  onTestFinished(async () => {
    socket.destroy();
    await server.close();
  });
  await once(socket, "connect");
  return { socket, server, received: () => received };
}
