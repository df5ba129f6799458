import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { validateHeaderName, validateHeaderValue } from "node:http";
import type { SettingValues } from "../config/settings.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import type { ClientTls } from "../formats/http-request.ts";

/** How our commands prove who they are to a server, and what they trust of it. */
export interface ClientAccess {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: ClientTls;
}

/** Reads what `header`, `ca_file`, `client_cert_file` and `client_key_file` say. */
export async function readClientAccess(settings: SettingValues): Promise<ClientAccess> {
  const { ca_file: caFile, client_cert_file: certFile, client_key_file: keyFile } = settings;
  if ((certFile === null) !== (keyFile === null))
    throw new OperationError(
      "usage",
      `--${certFile === null ? "client-cert-file" : "client-key-file"} is missing`,
      "A certificate to show needs both: --client-cert-file FILE --client-key-file FILE",
    );
  const tls = {
    ...(caFile === null ? {} : { ca: await readPem("ca_file", caFile, isCertificate) }),
    ...(certFile === null ? {} : { cert: await readPem("client_cert_file", certFile, isCertificate) }),
    ...(keyFile === null ? {} : { key: await readPem("client_key_file", keyFile, createPrivateKey) }),
  };
  return { headers: headersOf(settings.header ?? []), tls };
}

function isCertificate(pem: Buffer): X509Certificate {
  return new X509Certificate(pem);
}

async function readPem(setting: string, path: string, parse: (pem: Buffer) => unknown): Promise<Buffer> {
  try {
    const pem = await readFile(path);
    parse(pem);
    return pem;
  } catch (cause) {
    throw new OperationError(
      "bad_configuration",
      `Cannot use ${setting} ${path}: ${(cause as Error).message}`,
      "It must be a file in PEM form (-----BEGIN …) that you may read; a private key without a passphrase.",
      cause,
    );
  }
}

function headersOf(texts: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf("=");
      // what was written may be a secret: it is not repeated
      const [name, value] = [text.slice(0, Math.max(0, at)).trim(), text.slice(at + 1).trim()];
      if (!canBeSent(name, value))
        throw new OperationError("usage", "--header is not NAME=VALUE, or HTTP cannot carry it");
      return [name, value];
    }),
  );
}

function canBeSent(name: string, value: string): boolean {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    return true;
  } catch {
    // the reason would repeat the value
    return false;
  }
}
