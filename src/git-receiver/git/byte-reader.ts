/** The stream ended in the middle of something. */
export class EndedEarly extends Error {
  override name = "EndedEarly";
}

/**
 * Reads a stream in the portions a protocol has, and hands the rest on as it comes. It never closes the stream, because
 * a request that is wrong in the middle still wants its answer.
 */
export class ByteReader {
  readonly #source: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Exactly so many bytes; null if the stream ended before the first. Throws EndedEarly if it ended after. */
  async read(length: number): Promise<Buffer | null> {
    const parts: Buffer[] = [];
    let missing = length;
    while (missing > 0) {
      if (this.#held.length === 0 && !(await this.#fetch())) {
        if (missing === length) return null;
        throw new EndedEarly(`the stream ended ${missing} bytes before its time`);
      }
      const part = this.#held.subarray(0, missing);
      this.#held = this.#held.subarray(part.length);
      parts.push(part);
      missing -= part.length;
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  /** The bytes before the next `delimiter`, which is taken too. Throws EndedEarly, or RangeError beyond `maxBytes`. */
  async readUntil(delimiter: number, maxBytes: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let taken = 0;
    for (;;) {
      if (this.#held.length === 0 && !(await this.#fetch())) throw new EndedEarly("the stream ended within a field");
      const end = this.#held.indexOf(delimiter);
      const part = end < 0 ? this.#held : this.#held.subarray(0, end);
      taken += part.length;
      if (taken > maxBytes) throw new RangeError(`a field is longer than ${maxBytes} bytes`);
      parts.push(part);
      this.#held = this.#held.subarray(part.length + (end < 0 ? 0 : 1));
      if (end >= 0) return Buffer.concat(parts);
    }
  }

  /** What comes next, in any portion; null at the end. */
  async next(): Promise<Buffer | null> {
    if (this.#held.length === 0 && !(await this.#fetch())) return null;
    const chunk = this.#held;
    this.#held = Buffer.alloc(0);
    return chunk;
  }

  async #fetch(): Promise<boolean> {
    for (;;) {
      const { value, done } = await this.#source.next();
      if (done) return false;
      if (value.length > 0) {
        this.#held = value;
        return true;
      }
    }
  }
}
