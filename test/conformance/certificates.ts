import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

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

export function createAuthority(): Authority {
  const folder = mkdtempSync(join(tmpdir(), "hypocenter-tls-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = (name: string, content: string | Buffer): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const issuer = { name: "test authority", key: newKey() };
  const ca = file("ca.pem", certificateOf(issuer, { ...issuer, days: 2, extensions: [isAuthority] }));
  return {
    folder,
    ca,
    caPem: () => readFileSync(ca),
    issue: (name, days = 2) => {
      const key = newKey();
      return {
        cert: file(`${name}.pem`, certificateOf(issuer, { name, key, days, extensions: [localNames] })),
        key: file(`${name}.key`, key.export({ type: "pkcs8", format: "pem" })),
      };
    },
    file,
  };
}

interface Subject {
  readonly name: string;
  readonly key: KeyObject;
}

function newKey(): KeyObject {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
}

/** Tags of DER. */
const [INTEGER, BITS, OCTETS, OBJECT_ID, TEXT, TIME, SEQUENCE, SET] = [2, 3, 4, 6, 12, 24, 0x30, 0x31];

const ecdsaWithSha256 = der(SEQUENCE, der(OBJECT_ID, Buffer.from("2a8648ce3d040302", "hex")));
/** Basic constraints: a certificate authority. */
const isAuthority = extension("551d13", der(SEQUENCE, der(1, Buffer.of(0xff))));
/** Alternative names of the subject: localhost and 127.0.0.1. */
const localNames = extension(
  "551d11",
  der(SEQUENCE, der(0x82, Buffer.from("localhost")), der(0x87, Buffer.of(127, 0, 0, 1))),
);

/** An X.509 certificate (RFC 5280) that was valid from two days ago and is for some days from now, in PEM form. */
function certificateOf(
  issuer: Subject,
  subject: Subject & { readonly days: number; readonly extensions: readonly Buffer[] },
): string {
  const { days, extensions } = subject;
  const content = der(
    SEQUENCE,
    // version 3
    der(0xa0, der(INTEGER, Buffer.of(2))),
    der(INTEGER, Buffer.of(1), randomBytes(8)),
    ecdsaWithSha256,
    nameOf(issuer.name),
    der(SEQUENCE, timeIn(-2), timeIn(days)),
    nameOf(subject.name),
    createPublicKey(subject.key).export({ type: "spki", format: "der" }),
    der(0xa3, der(SEQUENCE, ...extensions)),
  );
  const signature = sign("sha256", content, issuer.key);
  const whole = der(SEQUENCE, content, ecdsaWithSha256, der(BITS, Buffer.of(0), signature));
  const lines = whole.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}

function nameOf(commonName: string): Buffer {
  const type = der(OBJECT_ID, Buffer.from("550403", "hex"));
  return der(SEQUENCE, der(SET, der(SEQUENCE, type, der(TEXT, Buffer.from(commonName)))));
}

function timeIn(days: number): Buffer {
  const text = new Date(Date.now() + days * 86_400_000).toISOString();
  return der(TIME, Buffer.from(`${text.slice(0, 19).replaceAll(/[-:T]/g, "")}Z`));
}

function extension(objectId: string, value: Buffer): Buffer {
  return der(SEQUENCE, der(OBJECT_ID, Buffer.from(objectId, "hex")), der(OCTETS, value));
}

function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const head =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...head), content]);
}
