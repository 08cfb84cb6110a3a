/**
 * Writes Kafka's wire format by hand: the attacks know nothing of src/protocol, so that a mistake there cannot hide what
 * they would find.
 */
export class Bytes {
  readonly #parts: Buffer[] = []

  #push(size: number, write: (buffer: Buffer) => void): this {
    const buffer = Buffer.alloc(size)
    write(buffer)
    this.#parts.push(buffer)
    return this
  }

  i8(value: number): this {
    return this.#push(1, b => b.writeInt8(value))
  }

  i16(value: number): this {
    return this.#push(2, b => b.writeInt16BE(value))
  }

  i32(value: number): this {
    return this.#push(4, b => b.writeInt32BE(value))
  }

  i64(value: bigint | number): this {
    return this.#push(8, b => b.writeBigInt64BE(BigInt(value)))
  }

  uvarint(value: number): this {
    const bytes: number[] = []
    let rest = value
    while (rest >= 0x80) {
      bytes.push((rest & 0x7f) | 0x80)
      rest = Math.floor(rest / 128)
    }
    bytes.push(rest)
    return this.raw(Buffer.from(bytes))
  }

  raw(bytes: Buffer): this {
    this.#parts.push(bytes)
    return this
  }

  /** An old-style string; null is allowed. */
  string(value: string | Buffer | null): this {
    if (value === null) return this.i16(-1)
    const bytes = Buffer.from(value)
    return this.i16(bytes.length).raw(bytes)
  }

  /** A string of a flexible version. */
  compact(value: string | Buffer | null): this {
    if (value === null) return this.uvarint(0)
    const bytes = Buffer.from(value)
    return this.uvarint(bytes.length + 1).raw(bytes)
  }

  /** Old-style bytes. */
  bytes(value: Buffer): this {
    return this.i32(value.length).raw(value)
  }

  compactBytes(value: Buffer): this {
    return this.uvarint(value.length + 1).raw(value)
  }

  /** The same element again and again, made once. */
  repeat(count: number, make: (element: Bytes, index: number) => void, isSame = true): this {
    if (isSame) {
      const one = new Bytes()
      make(one, 0)
      const bytes = one.done()
      return this.raw(Buffer.alloc(bytes.length * count, bytes))
    }
    for (let i = 0; i < count; i++) make(this, i)
    return this
  }

  done(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

/** A frame: length, request header (version 2 where `flexible`), body. */
export function frame(
  apiKey: number,
  version: number,
  body: Bytes,
  flexible: boolean,
  correlationId = 1,
): Buffer {
  const header = new Bytes().i16(apiKey).i16(version).i32(correlationId).string('attack')
  if (flexible) header.uvarint(0)
  const content = Buffer.concat([header.done(), body.done()])
  return Buffer.concat([new Bytes().i32(content.length).done(), content])
}
