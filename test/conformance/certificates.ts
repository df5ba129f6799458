import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

/** A certificate with its key, as files in PEM form. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** A folder of certificates that lives as long as the test; made when the test runs, so that no key is ever stored. */
export interface Authority {
  readonly folder: string;
  /** the authority itself, to trust */
  readonly ca: string;
  readonly caPem: () => Buffer;
  /** a certificate of this authority for 127.0.0.1 and localhost, good for servers and clients */
  readonly issue: (name: string, days?: number) => Certificate;
  /** a file in the folder; its path */
  readonly file: (name: string, content: string | Buffer) => string;
}

/** A new authority, or the reason why there is none: call `skip` then. */
export function createAuthority(skip: (reason: string) => never): Authority {
  if (!hasOpenssl) return skip("openssl is not installed: no certificates to test with");
  const folder = mkdtempSync(join(tmpdir(), "hypocenter-tls-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = (name: string): string => join(folder, name);
  const openssl = (...words: string[]): void => {
    execFileSync("openssl", words, { cwd: folder, stdio: "pipe" });
  };
  const newKey = (name: string): readonly string[] => {
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name);
    return ["-key", name];
  };
  openssl("req", "-x509", ...newKey("ca.key"), "-subj", "/CN=test authority", "-days", "2", "-out", "ca.pem");
  writeFileSync(path("san"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
  return {
    folder,
    ca: path("ca.pem"),
    caPem: () => readFileSync(path("ca.pem")),
    issue: (name, days = 2) => {
      const [cert, key, asked] = [`${name}.pem`, `${name}.key`, `${name}.csr`];
      openssl("req", "-new", ...newKey(key), "-subj", `/CN=${name}`, "-out", asked);
      const signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", String(days)];
      openssl("x509", "-req", "-in", asked, ...signer, "-extfile", "san", "-out", cert);
      return { cert: path(cert), key: path(key) };
    },
    file: (name, content) => {
      writeFileSync(path(name), content);
      return path(name);
    },
  };
}
