import type { SettingValues } from "../config/settings.ts";
import type { CredentialCheck } from "../engine/access.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import { type Cors, createCors } from "../http/access-cors.ts";
import { createCredentialCheck } from "../http/access-credentials.ts";
import { type WatchedTlsIdentity, watchTlsFiles } from "../http/access-tls.ts";

/** Who may come in, how it is proved, and what is shown in return. */
export interface ServerAccess {
  /** null = all ports speak without TLS */
  readonly tls: WatchedTlsIdentity | null;
  /** null = nobody is asked for a token or password */
  readonly credentials: CredentialCheck | null;
  /** null = pages of other origins may not send */
  readonly cors: Cors | null;
}

/** What the settings say of access; rejects with `bad_configuration` where they cannot be followed. `report` is told what changes later. */
export async function openAccess(
  settings: SettingValues,
  report: (message: string) => void,
): Promise<ServerAccess> {
  const { auth_header: header } = settings;
  const credentials = createCredentialCheck({
    tokens: settings.auth_tokens ?? [],
    basic: settings.auth_basic ?? [],
    header,
  });
  const cors = createCors(
    {
      allowedOrigins: settings.cors_allowed_origins ?? [],
      allowedHeaders: settings.cors_allowed_headers ?? [],
      maxAgeMs: settings.cors_max_age,
    },
    header,
  );
  return { tls: await openTls(settings, report), credentials, cors };
}

async function openTls(
  settings: SettingValues,
  report: (message: string) => void,
): Promise<WatchedTlsIdentity | null> {
  const {
    tls_cert_file: certFile,
    tls_key_file: keyFile,
    tls_client_ca_file: clientCaFile,
    tls_min_version: minVersion,
    tls_reload_interval: reloadMs,
  } = settings;
  if (certFile !== null && keyFile !== null)
    return await watchTlsFiles({ certFile, keyFile, clientCaFile, minVersion }, { reloadMs, report });
  if (certFile === null && keyFile === null && clientCaFile === null) return null;
  const missing = certFile === null ? "tls_cert_file" : "tls_key_file";
  throw new OperationError(
    "bad_configuration",
    `TLS needs ${missing} too`,
    "Give tls_cert_file and tls_key_file together, or neither.",
  );
}
