interface Event {
  readonly time: number;
  readonly order: number;
  readonly run: () => void;
}

/** Simulated time: what is due runs in order of time, and of being scheduled where times are equal. */
export class EventQueue {
  /** ms since the start of the window */
  now = 0;
  readonly #heap: Event[] = [];
  #count = 0;

  at(time: number, run: () => void): void {
    const event = { time: Math.max(time, this.now), order: this.#count, run };
    this.#count += 1;
    const heap = this.#heap;
    let place = heap.length;
    heap.push(event);
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = heap[above] as Event;
      if (!isBefore(event, parent)) break;
      heap[place] = parent;
      place = above;
    }
    heap[place] = event;
  }

  after(ms: number, run: () => void): void {
    this.at(this.now + ms, run);
  }

  /** Runs everything that is due until `end`; what is later never happens. */
  runUntil(end: number): void {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.time > end) return;
      this.#takeFirst();
      this.now = next.time;
      next.run();
    }
  }

  #takeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    let place = 0;
    for (;;) {
      let below = place * 2 + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1] as Event, heap[below] as Event)) below += 1;
      const child = heap[below] as Event;
      if (!isBefore(child, last)) break;
      heap[place] = child;
      place = below;
    }
    heap[place] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}
