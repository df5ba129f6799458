/**
 * Zstandard to plain bytes as a stream: all concatenated frames of it, skippable ones left out, checksums verified. Memory is
 * the window of a frame (128 MiB at most, by the library's own limit) and some buffers, however much comes out.
 *
 *   const stream = await ZstdStream.open();
 *   for (const plain of stream.push(bytes)) …     repeatedly
 *   stream.end();                                 `damage` now tells whether all was well
 *   stream.close();                               in any case
 */
export class ZstdStream {
  /** what is wrong with the stream, to stand behind "it "; null as long as nothing is */
  damage: string | null = null;
  /** nothing more comes: the stream is damaged, or something else follows its last frame */
  isOver = false;
  readonly #decoder: Decoder;
  /** where the decoder is: before a frame whose first bytes it may have been given already, or in one */
  #isInFrame = false;
  #frames = 0;
  #isClosed = false;

  private constructor(decoder: Decoder) {
    this.#decoder = decoder;
  }

  static async open(): Promise<ZstdStream> {
    compiled ??= compile();
    const module = await compiled;
    const decoder = idleDecoders.pop() ?? new Decoder(module);
    decoder.start();
    return new ZstdStream(decoder);
  }

  /** Plain bytes in pieces of at most 128 KiB, unpacked as they are asked for; what a caller does not ask for is lost. */
  *push(bytes: Uint8Array): Generator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += inputBytes) {
      this.#decoder.give(bytes.subarray(at, at + inputBytes));
      while (!this.isOver) {
        const plain = this.#step();
        if (plain !== null) yield plain;
        if (this.#decoder.isDrained) break;
      }
      if (this.isOver) return;
    }
  }

  /** No more bytes come. */
  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    if (this.#isInFrame) this.damage = "is cut off in the middle";
    else if (this.#frames === 0) this.damage = "is empty";
  }

  /** Lets go of the memory; for a second time it does nothing. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.isOver = true;
    this.#decoder.finish();
    if (idleDecoders.length < idleDecodersMax && this.#decoder.heapBytes <= idleHeapBytesMax)
      idleDecoders.push(this.#decoder);
  }

  #step(): Uint8Array | null {
    const { left, taken, plain } = this.#decoder.run();
    const errorCode = 2 ** 32 - left;
    if (errorCode < errorCodeEnd) {
      this.isOver = true;
      // Zeros and the like behind the last frame cost nothing.
      if (errorCode !== prefixUnknown || this.#isInFrame || this.#frames === 0)
        this.damage = `is damaged (${errorTexts.get(errorCode) ?? `zstd error ${errorCode}`})`;
    } else if (left === 0) {
      this.#isInFrame = false;
      this.#frames += 1;
    } else if (taken > 0) this.#isInFrame = true;
    return plain;
  }
}

/** Compressed bytes handed over at once, and plain bytes taken: what the library recommends. */
const inputBytes = 128 * 1024;
const outputBytes = 128 * 1024;

/** Decoders are kept for the next stream, unless a large window made them large: memory of WebAssembly never shrinks. */
const idleDecodersMax = 2;
const idleHeapBytesMax = 32 * 1024 * 1024;
const idleDecoders: Decoder[] = [];

/** Results from 2^32 - 120 on are errors; the codes are stable, by zstd_errors.h. */
const errorCodeEnd = 120;
const prefixUnknown = 10;
const errorTexts: ReadonlyMap<number, string> = new Map([
  [prefixUnknown, "not the beginning of a zstd frame"],
  [14, "a frame parameter that this version does not know"],
  [16, "a frame needs a window of more than 128 MiB"],
  [20, "the content makes no sense"],
  [22, "the checksum is wrong"],
  [32, "it was packed with a dictionary, which is not there"],
  [64, "no memory for the frame's window"],
  [72, "the content has another size than the frame says"],
]);

/** The part of WebAssembly that is used; the library of the language that we compile for does not have it. */
declare const WebAssembly: {
  readonly Instance: new (module: Module, imports: object) => { exports: object };
};
type Module = object;

let compiled: Promise<Module> | null = null;

/**
 * The compiled decoder of the package, to be driven by ourselves: the package's own loop never ends on damaged input, and
 * its one memory for all grows to the largest window for good.
 */
async function compile(): Promise<Module> {
  const { ZSTDDecoder } = await import("zstddec/stream");
  return new Promise((resolve, reject) => {
    class Compiling extends ZSTDDecoder {
      override _init(source: { readonly module: Module }): void {
        resolve(source.module);
      }
    }
    new Compiling().init().catch(reject);
  });
}

interface ZstdExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  malloc(bytes: number): number;
  ZSTD_createDCtx(): number;
  ZSTD_freeDCtx(context: number): void;
  /** a hint how much is missing, 0 at the end of a frame, or an error */
  ZSTD_decompressStream(context: number, output: number, input: number): number;
}

/** One instance with a memory of its own, for one stream after the other. */
class Decoder {
  /** all that was given has been taken, and all that came of it handed out */
  isDrained = true;
  readonly #zstd: ZstdExports;
  readonly #input: number;
  readonly #output: number;
  /** two records {pointer, size, position} of 32-bit numbers: the library's ZSTD_inBuffer and ZSTD_outBuffer */
  readonly #inputRecord: number;
  readonly #outputRecord: number;
  #context = 0;
  #heap: Uint8Array;

  constructor(module: Module) {
    const imports = { env: { emscripten_notify_memory_growth: () => {} } };
    this.#zstd = new WebAssembly.Instance(module, imports).exports as ZstdExports;
    this.#input = this.#zstd.malloc(inputBytes);
    this.#output = this.#zstd.malloc(outputBytes);
    this.#inputRecord = this.#zstd.malloc(12);
    this.#outputRecord = this.#zstd.malloc(12);
    this.#heap = new Uint8Array(this.#zstd.memory.buffer);
  }

  get heapBytes(): number {
    return this.#heap.length;
  }

  start(): void {
    this.#context = this.#zstd.ZSTD_createDCtx();
    this.#refreshHeap();
  }

  finish(): void {
    if (this.#context !== 0) this.#zstd.ZSTD_freeDCtx(this.#context);
    this.#context = 0;
  }

  give(bytes: Uint8Array): void {
    this.#heap.set(bytes, this.#input);
    this.#setRecord(this.#inputRecord, this.#input, bytes.length);
    this.isDrained = false;
  }

  run(): { readonly left: number; readonly taken: number; readonly plain: Uint8Array | null } {
    this.#setRecord(this.#outputRecord, this.#output, outputBytes);
    const before = this.#positionOf(this.#inputRecord);
    const left = this.#zstd.ZSTD_decompressStream(this.#context, this.#outputRecord, this.#inputRecord) >>> 0;
    this.#refreshHeap();
    const after = this.#positionOf(this.#inputRecord);
    const written = this.#positionOf(this.#outputRecord);
    const isAllTaken = after === this.#sizeOf(this.#inputRecord);
    this.isDrained = isAllTaken && (written < outputBytes || left === 0);
    const plain = written === 0 ? null : this.#heap.slice(this.#output, this.#output + written);
    return { left, taken: after - before, plain };
  }

  /** Growing makes the old view useless. */
  #refreshHeap(): void {
    if (this.#heap.buffer !== this.#zstd.memory.buffer) this.#heap = new Uint8Array(this.#zstd.memory.buffer);
  }

  #setRecord(record: number, pointer: number, size: number): void {
    const view = new DataView(this.#heap.buffer);
    view.setUint32(record, pointer, true);
    view.setUint32(record + 4, size, true);
    view.setUint32(record + 8, 0, true);
  }

  #sizeOf(record: number): number {
    return new DataView(this.#heap.buffer).getUint32(record + 4, true);
  }

  #positionOf(record: number): number {
    return new DataView(this.#heap.buffer).getUint32(record + 8, true);
  }
}
