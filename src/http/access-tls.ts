import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import type { TlsIdentity } from "../engine/access.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import { watchFiles } from "./watch-files.ts";

/** The files of a server's identity, all in PEM form. */
export interface TlsFiles {
  /** the server's own certificate first, then what leads to an authority */
  readonly certFile: string;
  readonly keyFile: string;
  /** authorities whose certificates clients have to show; null = clients need none */
  readonly clientCaFile: string | null;
  readonly minVersion: "1.2" | "1.3";
}

/** An identity that is read anew while it is in use. */
export interface WatchedTlsIdentity extends TlsIdentity {
  close(): void;
}

/**
 * Reads the files, and looks at them again every `reloadMs`: what is new is used for the connections that come then (see
 * `watchFiles`). Rejects with `bad_configuration`.
 */
export async function watchTlsFiles(
  files: TlsFiles,
  { reloadMs, report }: { readonly reloadMs: number; readonly report: (message: string) => void },
): Promise<WatchedTlsIdentity> {
  const listeners: ((identity: SecureContextOptions) => void)[] = [];
  const first = await readFiles(files);
  let identity = identityOf(first, files, report);
  const close = watchFiles({
    first,
    read: () => readFiles(files),
    isEqual,
    use: (read) => {
      identity = identityOf(read, files, report);
      for (const use of listeners) use(identity);
    },
    everyMs: reloadMs,
    report,
    saysNew: "TLS certificates were read anew.",
    saysKept: "the TLS certificates read before stay in use.",
  });
  return {
    asksClients: files.clientCaFile !== null,
    current: () => identity,
    onChange: (use) => listeners.push(use),
    close,
  };
}

interface ReadFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly clientCa: Buffer | null;
}

async function readFiles({ certFile, keyFile, clientCaFile }: TlsFiles): Promise<ReadFiles> {
  const [cert, key, clientCa] = await Promise.all([
    readPem("tls_cert_file", certFile),
    readPem("tls_key_file", keyFile),
    clientCaFile === null ? null : readPem("tls_client_ca_file", clientCaFile),
  ]);
  return { cert, key, clientCa };
}

/** Rejects with `bad_configuration` that names the setting and the file. */
async function readPem(setting: string, path: string): Promise<Buffer> {
  return await readFile(path).catch((cause: Error) => {
    throw new OperationError(
      "bad_configuration",
      `Cannot read ${setting} ${path}: ${cause.message}`,
      "Check the path, and that the user who runs hypocenter may read the file.",
      cause,
    );
  });
}

function isEqual(a: ReadFiles, b: ReadFiles): boolean {
  const sameCa =
    a.clientCa === null || b.clientCa === null ? a.clientCa === b.clientCa : a.clientCa.equals(b.clientCa);
  return sameCa && a.cert.equals(b.cert) && a.key.equals(b.key);
}

/** What the TLS library takes, once it is certain that it will. */
function identityOf(
  { cert, key, clientCa }: ReadFiles,
  { certFile, keyFile, clientCaFile, minVersion }: TlsFiles,
  report: (message: string) => void,
): SecureContextOptions {
  const certificate = certificateOf(cert, `tls_cert_file ${certFile}`);
  if (clientCa !== null) certificateOf(clientCa, `tls_client_ca_file ${clientCaFile}`);
  if (!certificate.checkPrivateKey(keyOf(key, keyFile)))
    throw new OperationError(
      "bad_configuration",
      `The key in tls_key_file ${keyFile} does not belong to the certificate in tls_cert_file ${certFile}`,
      "The server's own certificate must be the first one in its file; those of the authorities follow.",
    );
  const identity: SecureContextOptions = {
    cert,
    key,
    minVersion: `TLSv${minVersion}`,
    ...(clientCa === null ? {} : { ca: clientCa }),
  };
  try {
    createSecureContext(identity);
  } catch (cause) {
    throw new OperationError(
      "bad_configuration",
      `The certificate in tls_cert_file ${certFile} cannot be used: ${(cause as Error).message}`,
      "Every certificate in the file must be whole, and its key long enough.",
      cause,
    );
  }
  if (Date.parse(certificate.validTo) < Date.now())
    report(`The certificate in ${certFile} ended on ${certificate.validTo}; clients will not trust it.`);
  return identity;
}

function certificateOf(pem: Buffer, name: string): X509Certificate {
  try {
    if (pem.includes("-----BEGIN CERTIFICATE-----")) return new X509Certificate(pem);
  } catch (cause) {
    throw new OperationError(
      "bad_configuration",
      `${name} holds a broken certificate: ${(cause as Error).message}`,
      "`openssl x509 -in FILE -noout -text` must be able to show it.",
      cause,
    );
  }
  throw new OperationError(
    "bad_configuration",
    `${name} holds no certificate in PEM form`,
    "PEM begins with -----BEGIN CERTIFICATE-----; `openssl x509 -inform der -in FILE -out FILE.pem` makes it of DER.",
  );
}

function keyOf(pem: Buffer, path: string): KeyObject {
  if (pem.includes("ENCRYPTED"))
    throw new OperationError(
      "bad_configuration",
      `The private key in tls_key_file ${path} is locked with a passphrase`,
      "Unlock it with `openssl pkey -in FILE -out FILE.unlocked`, readable for hypocenter alone.",
    );
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new OperationError(
      "bad_configuration",
      `tls_key_file ${path} holds no private key in PEM form`,
      "PEM begins with -----BEGIN PRIVATE KEY-----; check that key and certificate are not mixed up.",
      cause,
    );
  }
}
