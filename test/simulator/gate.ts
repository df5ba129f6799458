interface Waiter {
  readonly run: () => void;
  isGone: boolean;
}

/** Lets so many in at a time, the others in the order in which they came: workers, connections, what a database does at once. */
export class Gate {
  used = 0;
  readonly #capacity: () => number;
  #queue: Waiter[] = [];
  #waiting = 0;

  /** The capacity may change between two questions. */
  constructor(capacity: () => number) {
    this.#capacity = capacity;
  }

  get waiting(): number {
    return this.#waiting;
  }

  get capacity(): number {
    return this.#capacity();
  }

  /** Runs at once or when there is room. Null = it ran; else what gives up waiting, which is false where that is too late. */
  enter(run: () => void): (() => boolean) | null {
    if (this.#waiting === 0 && this.used < this.#capacity()) {
      this.used += 1;
      run();
      return null;
    }
    const waiter: Waiter = { run, isGone: false };
    this.#queue.push(waiter);
    this.#waiting += 1;
    return () => {
      if (waiter.isGone) return false;
      waiter.isGone = true;
      this.#waiting -= 1;
      return true;
    };
  }

  leave(): void {
    this.used -= 1;
    this.admit();
  }

  /** Lets in whom there is room for, after the capacity has grown. */
  admit(): void {
    while (this.#waiting > 0 && this.used < this.#capacity()) {
      const next = this.#queue.shift() as Waiter;
      if (next.isGone) continue;
      next.isGone = true;
      this.#waiting -= 1;
      this.used += 1;
      next.run();
    }
    if (this.#waiting === 0) this.#queue = [];
  }
}
