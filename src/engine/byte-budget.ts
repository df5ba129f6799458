/**
 * Bytes that may be held at once, shared by everybody who holds some. What does not fit is refused, never queued.
 *
 * One client with several requests at once may hold `clientShare` of it while it is alone, and no more than that part in relation
 * to what is still free: with a half, two come to rest at a third each, three at a quarter. So there is always room for one who
 * comes anew, and nobody has to know how many there are. (Dynamic thresholds: Choudhury and Hahne, 1998.)
 */
export class ByteBudget {
  readonly #max: number;
  readonly #clientShare: number;
  readonly #isShut: () => boolean;
  readonly #clients = new Map<string, ClientUse>();
  #used = 0;

  /** `isShut` = whether nothing fits now, whatever is free */
  constructor(max: number, clientShare = 1, isShut: () => boolean = () => false) {
    this.#max = max;
    this.#clientShare = clientShare;
    this.#isShut = isShut;
  }

  get used(): number {
    return this.#used;
  }

  /** Whether the bytes fit; they are held then until they are given back. */
  take(bytes: number): boolean {
    if (this.#used + bytes > this.#max || this.#isShut()) return false;
    this.#used += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#used -= bytes;
  }

  /** What one client holds, from the first of its requests at a time to the last. */
  enter(client: string): ClientUse {
    const use = this.#clients.get(client) ?? { client, requests: 0, bytes: 0 };
    use.requests += 1;
    this.#clients.set(client, use);
    return use;
  }

  leave(use: ClientUse): void {
    use.requests -= 1;
    if (use.requests === 0) this.#clients.delete(use.client);
  }

  /** A client's only request is never too much: one that is large would be refused for ever. */
  isOverShare({ requests, bytes: held }: ClientUse, bytes: number): boolean {
    const free = Math.max(0, this.#max - this.#used - bytes);
    return requests > 1 && (held + bytes) * (1 - this.#clientShare) > free * this.#clientShare;
  }
}

export interface ClientUse {
  readonly client: string;
  requests: number;
  bytes: number;
}
