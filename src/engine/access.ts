import type { SecureContextOptions } from "node:tls";

/** What a listener shows of itself over TLS, and whom it asks for the same. It may change while the listener is open. */
export interface TlsIdentity {
  /** certificate chain, private key, authorities of clients, lowest version */
  current(): SecureContextOptions;
  /** clients have to show a certificate too */
  readonly asksClients: boolean;
  /** `use` is called with every later identity */
  onChange(use: (identity: SecureContextOptions) => void): void;
}

/** What credentials may be for: sending telemetry, and asking about it. */
export const accessRoles = ["ingest", "query"] as const;
export type AccessRole = (typeof accessRoles)[number];

/** Somebody who has shown credentials that are known. */
export interface Caller {
  /** a name of its own, or "" where all show the same */
  readonly client: string;
  readonly roles: readonly AccessRole[];
}

/** Tells whoever may come in from strangers, by the headers (or gRPC metadata) of a request. */
export interface CredentialCheck {
  /** Who shows these credentials; null = a stranger. `header` gives the value of a header by its lower-case name. */
  callerOf(header: (name: string) => string | undefined): Caller | null;
  /** what to send, for those who were turned away */
  readonly hint: string;
  /** values of WWW-Authenticate */
  readonly challenges: readonly string[];
  /** the header in which a token may come as it is; null = none */
  readonly tokenHeader: string | null;
}

/** What to say to somebody who is known and may not do what the role is for. */
export function lackOf(role: AccessRole): { readonly message: string; readonly hint: string } {
  return role === "ingest"
    ? {
        message: "this token may ask questions, but not send telemetry",
        hint: "Use one of auth_tokens or auth_ingest_tokens, or an ingest token of auth_tokens_file.",
      }
    : {
        message: "this token may send telemetry, but not ask questions",
        hint: "Use one of auth_tokens or auth_query_tokens, or a query token of auth_tokens_file.",
      };
}
