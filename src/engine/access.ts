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

/** Tells whoever may come in from strangers, by the headers (or gRPC metadata) of a request. */
export interface CredentialCheck {
  /**
   * Who shows these credentials: a name of its own, or "" where all show the same; null = a stranger. `header` gives the value of a
   * header by its lower-case name.
   */
  clientOf(header: (name: string) => string | undefined): string | null;
  /** what to send, for those who were turned away */
  readonly hint: string;
  /** values of WWW-Authenticate */
  readonly challenges: readonly string[];
  /** the header in which a token may come as it is; null = none */
  readonly tokenHeader: string | null;
}
