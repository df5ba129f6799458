import { createPrivateKey } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { runInProcess } from "../cli/in-process.ts";
import { type RunningServer, startServer } from "../cli/run-hypocenter.ts";
import { type Asked, ask, callGrpc, grpcClient, sendSpan, shownCertificate } from "./ask.ts";
import { type Authority, type Certificate, createAuthority } from "./certificates.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const unavailable = 14;

async function started(words: readonly string[]): Promise<RunningServer> {
  const server = await startServer(words);
  onTestFinished(async () => {
    await server.stop("SIGKILL");
  });
  return server;
}

function tlsFlags({ cert, key }: Certificate): readonly string[] {
  return ["--tls-cert-file", cert, "--tls-key-file", key];
}

function shows({ cert, key }: Certificate): Pick<Asked, "cert" | "key"> & { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(cert), key: readFileSync(key) };
}

test("C-81 with a certificate all three ports speak TLS, to those who trust it", async () => {
  const authority = createAuthority();
  const server = await started(tlsFlags(authority.issue("server")));
  const ca = authority.caPem();
  expect((await sendSpan(`https://${server.http}`, { ca })).status).toBe(200);
  expect((await callGrpc(server.grpc, { ca })).code).toBe(0);
  expect((await ask(`https://${server.api}/api/v1/traces/${traceId}`, { ca })).status).toBe(200);
  expect(server.stderr()).toMatch(/gRPC .*\(TLS\)\n.*https:.*\n.*https:/);
});

test("C-81 neither those who do not trust it nor those who speak without TLS get anything", async () => {
  const authority = createAuthority();
  const server = await started(tlsFlags(authority.issue("server")));
  const ca = createAuthority().caPem();
  await expect(sendSpan(`https://${server.http}`, { ca })).rejects.toThrow(/certificate/);
  await expect(ask(`https://${server.api}/readyz`, { ca })).rejects.toThrow(/certificate/);
  expect((await callGrpc(server.grpc, { ca })).code).toBe(unavailable);
  await expect(sendSpan(`http://${server.http}`)).rejects.toThrow(/hang up|ECONNRESET/);
  await expect(ask(`http://${server.api}/readyz`)).rejects.toThrow(/hang up|ECONNRESET/);
  expect((await callGrpc(server.grpc)).code).toBe(unavailable);
});

test("C-81 the lowest TLS version is the one that is set, also after new certificates", async () => {
  const authority = createAuthority();
  const files = authority.issue("server");
  const flags = [...tlsFlags(files), "--tls-min-version", "1.3", "--tls-reload-interval", "50ms"];
  const server = await started(flags);
  const ca = authority.caPem();
  const old = { ca, maxVersion: "TLSv1.2" } as const;
  const refusesOld = async (): Promise<void> => {
    for (const address of [server.http, server.grpc, server.api])
      await expect(shownCertificate(address, old), address).rejects.toThrow(/protocol version/);
  };
  await refusesOld();
  replace(files, authority.issue("renewed"));
  await expect.poll(() => server.stderr()).toContain("TLS certificates were read anew.");
  await refusesOld();
  expect((await shownCertificate(server.grpc, { ca })).subject.CN).toBe("renewed");
});

test("C-81 new certificates serve new connections on all ports; connections that are open stay", async () => {
  const authority = createAuthority();
  const files = authority.issue("first");
  const server = await started([...tlsFlags(files), "--tls-reload-interval", "50ms"]);
  const ca = authority.caPem();
  const open = grpcClient(server.grpc, { ca });
  expect((await callGrpc(server.grpc, { client: open })).code).toBe(0);
  replace(files, authority.issue("second"));
  for (const address of [server.grpc, server.http, server.api])
    await expect
      .poll(async () => (await shownCertificate(address, { ca })).subject.CN, { timeout: 5_000 })
      .toBe("second");
  expect((await callGrpc(server.grpc, { client: open })).code).toBe(0);
  open.close();
});

test("C-81 files that become unusable are named, once, and what was read before stays in use until they are mended", async () => {
  const authority = createAuthority();
  const files = authority.issue("first");
  const server = await started([...tlsFlags(files), "--tls-reload-interval", "50ms"]);
  const ca = authority.caPem();
  authority.file("first.pem", "-----BEGIN CERTIFICATE-----\nhalf of i");
  await expect.poll(() => server.stderr()).toMatch(/tls_cert_file .*first\.pem .*stay in use/);
  expect((await sendSpan(`https://${server.http}`, { ca })).status).toBe(200);
  expect(server.stderr().match(/stay in use/g)).toHaveLength(1);
  replace(files, authority.issue("second"));
  await expect
    .poll(async () => (await shownCertificate(server.http, { ca })).subject.CN, { timeout: 5_000 })
    .toBe("second");
});

function replace(files: Certificate, by: Certificate): void {
  copyFileSync(by.cert, files.cert);
  copyFileSync(by.key, files.key);
}

test("C-81 with authorities of clients only their clients come in; health checks of the API need no certificate", async () => {
  const authority = createAuthority();
  const flags = [...tlsFlags(authority.issue("server")), "--tls-client-ca-file", authority.ca];
  const server = await started(flags);
  const ca = authority.caPem();
  const known = { ca, ...shows(authority.issue("client")) };
  const stranger = { ca, ...shows(createAuthority().issue("client")) };
  const services = `https://${server.api}/api/v1/services`;
  expect((await sendSpan(`https://${server.http}`, known)).status).toBe(200);
  expect((await callGrpc(server.grpc, known)).code).toBe(0);
  expect((await ask(services, known)).status).toBe(200);
  for (const other of [{ ca }, stranger]) {
    await expect(sendSpan(`https://${server.http}`, other)).rejects.toThrow(/alert|ECONNRESET|hang up|EPIPE/);
    expect((await callGrpc(server.grpc, other)).code).toBe(unavailable);
    const refused = await ask(services, other);
    expect(refused.status).toBe(401);
    expect(JSON.parse(refused.body.toString())).toMatchObject({ error: { code: "unauthenticated" } });
    expect((await ask(`https://${server.api}/readyz`, other)).status).toBe(200);
  }
});

test("C-81 our own commands trust and show what they are told to", async () => {
  const authority = createAuthority();
  const flags = [...tlsFlags(authority.issue("server")), "--tls-client-ca-file", authority.ca];
  const server = await started(flags);
  const { cert, key } = authority.issue("client");
  const trust = ["--ca-file", authority.ca];
  const identity = ["--client-cert-file", cert, "--client-key-file", key];
  for (const to of [`https://${server.http}`, `grpcs://${server.grpc}`]) {
    const send = ["replay", "samples/missing-orders/traces.jsonl.gz", "--to", to];
    expect(await runInProcess([...send, ...trust, ...identity])).toMatchObject({ exitCode: 0 });
    const distrust = await runInProcess([...send, ...identity]);
    expect(distrust).toMatchObject({ exitCode: 5, stderr: expect.stringContaining("--ca-file FILE") });
    const check = ["selfcheck", "--server", `https://${server.api}`, "--to", to, ...trust];
    // a busy machine may be later than the check allows, but not for ever
    await expect
      .poll(async () => (await runInProcess([...check, ...identity])).exitCode, { timeout: 60_000 })
      .toBe(0);
    expect(await runInProcess(check)).toMatchObject({ exitCode: 2 });
  }
  await sendSpan(`https://${server.http}`, { ca: authority.caPem(), ...shows({ cert, key }) });
  const query = ["query", traceId, "--server", `https://${server.api}`];
  expect(await runInProcess([...query, ...trust, ...identity])).toMatchObject({ exitCode: 0 });
  expect(await runInProcess([...query, ...trust])).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining("--client-cert-file FILE"),
  });
  expect(await runInProcess(query)).toMatchObject({
    exitCode: 5,
    stderr: expect.stringContaining("--ca-file FILE"),
  });
  const plain = ["query", traceId, "--server", `http://${server.api}`];
  expect(await runInProcess(plain)).toMatchObject({
    exitCode: 5,
    stderr: expect.stringContaining("use https://"),
  });
});

test("C-81 https to a server without TLS is told apart from nobody there", async () => {
  const server = await started([]);
  const query = await runInProcess(["query", traceId, "--server", `https://${server.api}`]);
  expect(query).toMatchObject({ exitCode: 5, stderr: expect.stringContaining("try http://") });
  const to = `https://${server.http}`;
  const replay = await runInProcess(["replay", "samples/missing-orders/traces.jsonl.gz", "--to", to]);
  expect(replay).toMatchObject({ exitCode: 5, stderr: expect.stringContaining("try http://") });
});

test("C-81 a client that never finishes its handshake does not keep the server from ending", async () => {
  const authority = createAuthority();
  const server = await started(tlsFlags(authority.issue("server")));
  for (const address of [server.http, server.grpc, server.api]) {
    const [host, port] = address.split(":");
    const stuck = connect(Number(port), host);
    stuck.on("error", () => {});
    await once(stuck, "connect");
    onTestFinished(() => void stuck.destroy());
  }
  const { exitCode, tookMs } = await server.stop();
  expect(exitCode).toBe(0);
  expect(tookMs).toBeLessThan(5_000);
});

const mistakes: Readonly<
  Record<string, (authority: Authority) => readonly [words: readonly string[], message: RegExp, hint: RegExp]>
> = {
  "a certificate file that is not there": ({ folder, issue }) => [
    tlsFlags({ cert: join(folder, "none.pem"), key: issue("server").key }),
    /Cannot read tls_cert_file .*none\.pem: ENOENT/,
    /Check the path/,
  ],
  "a folder instead of a key": ({ folder, issue }) => [
    tlsFlags({ cert: issue("server").cert, key: folder }),
    /Cannot read tls_key_file .*: EISDIR/,
    /may read the file/,
  ],
  "key and certificate mixed up": ({ issue }) => {
    const { cert, key } = issue("server");
    return [tlsFlags({ cert: key, key: cert }), /tls_cert_file .*server\.key holds no certificate/, /PEM/];
  },
  "a certificate where the key should be": ({ issue }) => {
    const { cert } = issue("server");
    return [tlsFlags({ cert, key: cert }), /tls_key_file .*server\.pem holds no private key/, /mixed up/];
  },
  "the key of another certificate": ({ issue }) => [
    tlsFlags({ cert: issue("server").cert, key: issue("other").key }),
    /tls_key_file .*other\.key does not belong to the certificate in tls_cert_file .*server\.pem/,
    /first one in its file/,
  ],
  "a key behind a passphrase": ({ issue, file }) => {
    const { cert, key } = issue("server");
    const lock = { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "secret" } as const;
    const locked = file("locked.key", createPrivateKey(readFileSync(key)).export(lock));
    return [tlsFlags({ cert, key: locked }), /locked\.key is locked with a passphrase/, /openssl pkey/];
  },
  "a broken certificate": ({ issue, file }) => [
    tlsFlags({
      cert: file("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
      key: issue("server").key,
    }),
    /tls_cert_file .*broken\.pem holds a broken certificate/,
    /openssl x509/,
  ],
  "a broken certificate behind the first one": ({ issue, file }) => {
    const { cert, key } = issue("server");
    const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const chain = file("chain.pem", readFileSync(cert, "utf8") + broken);
    return [tlsFlags({ cert: chain, key }), /tls_cert_file .*chain\.pem cannot be used/, /whole/];
  },
  "no certificate among the authorities of clients": ({ issue, file }) => [
    [...tlsFlags(issue("server")), "--tls-client-ca-file", file("ca.txt", "nothing")],
    /tls_client_ca_file .*ca\.txt holds no certificate in PEM form/,
    /-inform der/,
  ],
  "a certificate without a key": ({ issue }) => [
    ["--tls-cert-file", issue("server").cert],
    /TLS needs tls_key_file too/,
    /together/,
  ],
  "authorities of clients without a certificate": ({ ca }) => [
    ["--tls-client-ca-file", ca],
    /TLS needs tls_cert_file too/,
    /together/,
  ],
};

test.for(Object.keys(mistakes))(
  "C-81 %s is refused at the start, with the file and the way out",
  async (name) => {
    const [words, message, hint] = mistakes[name]!(createAuthority());
    const { exitCode, stderr } = await runInProcess(["config", "--check", ...words]);
    expect([exitCode, stderr]).toEqual([2, expect.stringMatching(message)]);
    expect(stderr).toMatch(hint);
    expect(await runInProcess(["serve", ...words])).toEqual({ exitCode, stderr, stdout: "" });
  },
);

test("C-81 a server that others can reach says so when nobody is asked, or when secrets travel in the open", async () => {
  const open = await started(["--host", "0.0.0.0"]);
  expect(open.stderr()).toMatch(/Warning: 0\.0\.0\.0 .*nothing here asks who they are/);
  const plain = await started(["--host", "0.0.0.0", "--auth-tokens", "t0ken"]);
  expect(plain.stderr()).toMatch(/Warning: 0\.0\.0\.0 .*secrets travel unencrypted/);
});

test("C-81 a certificate whose time is over is used, and that clients will not trust it is said", async () => {
  const over = createAuthority().issue("over", -1);
  const { exitCode, stderr } = await runInProcess(["config", "--check", ...tlsFlags(over)]);
  expect([exitCode, stderr]).toEqual([0, expect.stringMatching(/over\.pem ended on .*will not trust it/)]);
});
