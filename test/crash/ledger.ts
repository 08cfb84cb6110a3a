import * as batch from '../../src/protocol/record-batch.ts'

/** A batch that was sent. It is known by its CRC, which covers all of it but offset and leader epoch. */
export interface Sent {
  readonly crc: number
  readonly records: number
  /** Which producer's sequence on this partition it belongs to, and its place there; -1 without idempotence. */
  readonly lane: string
  readonly place: number
  /** The base offset that was acknowledged, or -1. */
  ackedAt: number
}

/** The promises of one partition: what was sent, acknowledged and seen; and what breaks them. */
export class Ledger {
  readonly name: string
  readonly violations: string[] = []
  ackedBatches = 0
  ackedRecords = 0
  /** All below was read and checked after the last crash. */
  checkedTo = 0
  readonly #sent = new Map<number, Sent>()
  /** Acknowledged or seen by a reader: CRC by base offset. */
  readonly #promised = new Map<number, number>()
  /** Of those, what is at or above `checkedTo`. */
  #unchecked = new Map<number, number>()
  /** The next place of each lane at `checkedTo`. */
  readonly #places = new Map<string, number>()

  constructor(name: string) {
    this.name = name
  }

  /** @returns false if the CRC is taken: then the batch must not be sent */
  send(sent: Sent): boolean {
    if (this.#sent.has(sent.crc)) return false
    this.#sent.set(sent.crc, sent)
    return true
  }

  acknowledge(sent: Sent, baseOffset: number): void {
    sent.ackedAt = baseOffset
    this.ackedBatches++
    this.ackedRecords += sent.records
    this.#promise(baseOffset, sent.crc, 'acknowledged')
  }

  /** A consumer was given this batch: it must stay. */
  show(bytes: Buffer): void {
    if (batch.computeCrc(bytes) !== batch.storedCrc(bytes)) {
      this.#violate(`a consumer got a batch with a wrong CRC at ${batch.baseOffset(bytes)}`)
    }
    this.#promise(batch.baseOffset(bytes), batch.storedCrc(bytes), 'seen')
  }

  #promise(offset: number, crc: number, how: string): void {
    const known = this.#promised.get(offset)
    if (known !== undefined && known !== crc) {
      this.#violate(`offset ${offset} was ${how} twice, for two batches`)
    }
    this.#promised.set(offset, crc)
    if (offset >= this.checkedTo) this.#unchecked.set(offset, crc)
  }

  /** Takes the next batch of the log after a crash, from `checkedTo` on. */
  check(bytes: Buffer): void {
    const offset = batch.baseOffset(bytes)
    const crc = batch.storedCrc(bytes)
    if (offset !== this.checkedTo) this.#violate(`${offset} follows ${this.checkedTo - 1}`)
    if (batch.computeCrc(bytes) !== crc) this.#violate(`wrong CRC at offset ${offset}`)
    this.checkedTo = batch.lastOffset(bytes) + 1
    const sent = this.#sent.get(crc)
    if (sent === undefined) {
      this.#violate(`nobody sent what is at offset ${offset}`)
      return
    }
    const promised = this.#unchecked.get(offset)
    if (promised !== undefined && promised !== crc) {
      this.#violate(`another batch than the one promised is at offset ${offset}`)
    }
    this.#unchecked.delete(offset)
    this.#promised.set(offset, crc)
    if (sent.ackedAt !== -1 && sent.ackedAt !== offset) {
      this.#violate(`a batch acknowledged at ${sent.ackedAt} is at ${offset}: duplicated or moved`)
    }
    this.#checkPlace(sent, offset)
  }

  #checkPlace({ lane, place }: Sent, offset: number): void {
    if (place === -1) return
    const due = this.#places.get(lane) ?? 0
    if (place !== due) {
      const what = place < due ? 'duplicated or reordered' : 'before one that is missing'
      this.#violate(`batch ${place} of ${lane} at offset ${offset}, where ${due} is due: ${what}`)
    }
    this.#places.set(lane, place + 1)
  }

  /** The log has been checked up to its end: whatever was promised and not found is lost. */
  endCheck(): void {
    for (const offset of this.#unchecked.keys()) {
      this.#violate(`lost: offset ${offset}; the log ends at ${this.checkedTo}`)
    }
    this.#unchecked = new Map()
  }

  /** Checks the whole log once more from offset 0, with `check`. */
  restart(): void {
    this.checkedTo = 0
    this.#places.clear()
    this.#unchecked = new Map(this.#promised)
  }

  #violate(what: string): void {
    this.violations.push(`${this.name}: ${what}`)
  }
}
