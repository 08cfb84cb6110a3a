import { join } from 'node:path'
import { BatchOpener } from '../../src/protocol/batch-content.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import {
  type BatchRecord,
  encodeBatch,
  type NewRecord,
  readRecords,
} from '../../src/protocol/records.ts'
import type { EpochStart } from '../../src/shared/epochs.ts'
import type { SegmentExtent } from '../../src/storage/commands.ts'
import {
  type CompactionPlan,
  Compactor,
  type Pace,
} from '../../src/storage/compaction/compactor.ts'
import {
  finishSwap,
  noteCleaned,
  readCompactionCheckpoint,
  removeCleaned,
  type Swap,
  swapIn,
  writeCompactionCheckpoint,
} from '../../src/storage/compaction/swap.ts'
import { recover } from '../../src/storage/recovery.ts'
import { fileName, parseFileName, Segment } from '../../src/storage/segment.ts'
import { Crashed, MemoryFs } from './memory-fs.ts'
import { Random } from './random.ts'

const DIR = '/data/log-0'
const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ'
const DELETE_RETENTION_MS = 1_000
const SEGMENT_BYTES = 4_000
const CONTENT_BYTES_MAX = 1024 * 1024
/** Of each crash. */
const IMAGES = 4
const [ABORT, COMMIT] = [0, 1]

/** A record as it was written. */
interface Written {
  readonly offset: number
  readonly key: string | null
  readonly value: string | null
  readonly timestamp: number
  readonly producerId: number
  /** The offset of its transaction's marker; -1 if it is in none, infinite while that is open. */
  marker: number
  aborted: boolean
}

/** A batch of which something must stay. */
interface WrittenBatch {
  readonly lastOffset: number
  readonly producerId: number
  readonly isMarker: boolean
}

/** Bugs to plant: each must be found. */
export type CompactionMutant =
  | 'swap not written down'
  | 'cleaned names not flushed'
  | 'cleaned files not flushed'
  | 'swap not finished at the start'
  | 'tombstones go at once'
  | 'producers forgotten'
  | 'checkpoint too far'

/**
 * One log that is written, compacted and killed at random, against a list of what was written. After every step: what is there
 * is as it was written, at its offset; of every key the newest record is there, unless it is a tombstone that has had its
 * time; what was compacted holds nothing that is superseded or aborted; markers stay as long as their transactions, of each
 * producer its last batch, and of each leader epoch its first.
 */
export class CompactionCase {
  readonly random: Random
  readonly #epochRandom: Random
  files: MemoryFs
  readonly records: Written[] = []
  readonly #batches: WrittenBatch[] = []
  readonly #bases: number[] = []
  readonly #open = new Map<number, Written[]>()
  readonly #sequences = new Map<number, number>()
  /** Where each leader epoch begins. */
  readonly #epochs: EpochStart[] = []
  #nextOffset = 0
  #now = 1_000_000
  #cleanedOffset = 0
  /** When a compaction first covered a tombstone, by offset: its time counts from then at the earliest. */
  readonly #covered = new Map<number, number>()
  readonly #mutant: CompactionMutant | null
  readonly #keys: readonly string[]
  compactions = 0
  crashes = 0

  constructor(seed: number, mutant: CompactionMutant | null = null) {
    this.#mutant = mutant
    this.random = new Random(seed)
    this.#epochRandom = new Random(seed + 2)
    const more = this.random.chance(0.3) ? 60 : 0
    this.#keys = [...KEYS, ...Array.from({ length: more }, (_, i) => `key ${i}`)]
    this.files = new MemoryFs(new Random(seed + 1))
    this.files.mkdir(DIR)
    for (const dir of ['/', '/data']) this.files.fsyncDir(dir)
  }

  async run(): Promise<void> {
    const rounds = 1 + this.random.below(4)
    for (let round = 0; round < rounds; round++) {
      const segments = 1 + this.random.below(4)
      for (let i = 0; i < segments; i++) await this.#writeSegment()
      await this.#check(this.#cleanedOffset)
      await this.#compact()
      this.#now += this.random.pick([0, 10, DELETE_RETENTION_MS, 3 * DELETE_RETENTION_MS])
    }
    // Twice without news in between: whatever was left over has gone, nothing else has.
    await this.#writeSegment()
    await this.#compact()
    await this.#recover()
  }

  // Writing.

  async #writeSegment(): Promise<void> {
    const base = this.#nextOffset
    const segment = Segment.create(this.files, DIR, base)
    const count = this.random.below(8)
    for (let i = 0; i < count || this.#nextOffset === base; i++) {
      // Offsets may have gaps, as old compactions leave them; but a segment begins where the one before it ends.
      if (this.#nextOffset > base && this.random.chance(0.1))
        this.#nextOffset += this.random.below(5)
      segment.append(await this.#newBatch())
      segment.write()
    }
    segment.seal()
    this.files.fsyncDir(DIR)
    this.#bases.push(base)
  }

  #newBatch(): Promise<Buffer> {
    const { random } = this
    const inTransaction = [...this.#open.keys()]
    if (inTransaction.length > 0 && random.chance(0.3))
      return this.#marker(random.pick(inTransaction))
    const producerId = random.chance(0.6) ? -1 : random.below(3)
    const transactional = producerId >= 0 && (this.#open.has(producerId) || random.chance(0.4))
    if (transactional && !this.#open.has(producerId)) this.#open.set(producerId, [])
    const base = this.#nextOffset
    const leaderEpoch = this.#epochOfNext()
    const records: NewRecord[] = []
    const count = 1 + random.below(4)
    for (let i = 0; i < count; i++) {
      const key = random.chance(0.05) ? null : random.pick(this.#keys)
      const value = random.chance(0.25) ? null : `${base + i}${'v'.repeat(random.below(60))}`
      const timestamp = random.chance(0.1) ? -1 : this.#now - random.below(5_000)
      records.push({
        timestamp,
        key: key === null ? null : Buffer.from(key),
        value: value === null ? null : Buffer.from(value),
        headers: random.chance(0.2) ? [{ key: 'h', value: Buffer.from([i]) }] : [],
      })
      const written = {
        offset: base + i,
        key,
        value,
        timestamp,
        producerId,
        marker: -1,
        aborted: false,
      }
      if (transactional) {
        written.marker = Number.POSITIVE_INFINITY
        this.#open.get(producerId)!.push(written)
      }
      this.records.push(written)
    }
    const baseSequence = producerId < 0 ? -1 : (this.#sequences.get(producerId) ?? 0)
    if (producerId >= 0) this.#sequences.set(producerId, baseSequence + count)
    this.#batches.push({ lastOffset: base + count - 1, producerId, isMarker: false })
    this.#nextOffset = base + count
    const producer = producerId < 0 ? {} : { producerId, producerEpoch: 0, baseSequence }
    const options = { baseOffset: base, leaderEpoch, codec: random.below(5), transactional }
    return encodeBatch(records, { ...options, ...producer })
  }

  /** Another leads now and then. */
  #epochOfNext(): number {
    const last = this.#epochs.at(-1)
    if (last !== undefined && !this.#epochRandom.chance(0.1)) return last.epoch
    const epoch = (last?.epoch ?? 0) + 1 + this.#epochRandom.below(3)
    this.#epochs.push({ epoch, startOffset: this.#nextOffset })
    return epoch
  }

  #marker(producerId: number): Promise<Buffer> {
    const leaderEpoch = this.#epochOfNext()
    const offset = this.#nextOffset++
    const aborted = this.random.chance(0.5)
    for (const written of this.#open.get(producerId)!) {
      written.marker = offset
      written.aborted = aborted
    }
    this.#open.delete(producerId)
    this.#batches.push({ lastOffset: offset, producerId, isMarker: true })
    const key = Buffer.from([0, 0, 0, aborted ? ABORT : COMMIT])
    const options = {
      baseOffset: offset,
      leaderEpoch,
      producerId,
      producerEpoch: 0,
      baseSequence: -1,
    }
    return encodeBatch([{ timestamp: this.#now, key, value: Buffer.alloc(6) }], {
      ...{ ...options, transactional: true, control: true },
    })
  }

  // Compacting.

  #plan(): CompactionPlan {
    const segments = this.#segments()
    return {
      ...{ dir: DIR, name: 'log-0', segments, now: this.#now },
      firstDirtyOffset: this.#cleanedOffset,
      firstUncleanableOffset: this.#nextOffset,
      producers: this.#is('producers forgotten') ? new Map() : this.#lastOfProducers(),
      deleteRetentionMs: this.#is('tombstones go at once') ? -1 : DELETE_RETENTION_MS,
      segmentBytes: SEGMENT_BYTES,
      keyBytesMax: this.random.pick([1_300, 2_500, 256 * 1024]),
      contentBytesMax: CONTENT_BYTES_MAX,
    }
  }

  #segments(): SegmentExtent[] {
    const bases = this.files.readdir(DIR).map(name => parseFileName(name, 'log'))
    return bases
      .filter(base => base !== null)
      .sort((a, b) => a - b)
      .map(base => {
        const fd = this.files.open(join(DIR, fileName(base, 'log')), 'read')
        const size = this.files.size(fd)
        this.files.close(fd)
        return { base, size, version: 0, abortedBytes: 0 }
      })
  }

  #lastOfProducers(): Map<number, { epoch: number; lastOffset: number }> {
    const last = new Map<number, { epoch: number; lastOffset: number }>()
    for (const { producerId, lastOffset, isMarker } of this.#batches) {
      if (producerId >= 0 && !isMarker) last.set(producerId, { epoch: 0, lastOffset })
    }
    return last
  }

  async #compact(): Promise<void> {
    const { random } = this
    const plan = this.#plan()
    if (random.chance(0.5)) this.files.arm({ at: 1 + random.below(120), code: 'crash' })
    const pace: Pace = { spent: () => {}, flush: action => action() }
    if (this.#is('cleaned files not flushed')) this.files.fdatasync = () => {}
    try {
      const run = new Compactor(this.files, plan, pace).run()
      let step = await run.next()
      for (; !step.done; step = await run.next()) this.#swapIn(step.value, plan)
      const endOffset = step.value.endOffset + (this.#is('checkpoint too far') ? 3 : 0)
      noteCleaned(this.files, DIR, endOffset)
      removeCleaned(this.files, DIR)
      this.files.fault = null
      this.#cleanedOffset = endOffset
      this.compactions++
      this.#cover(endOffset)
      await this.#check(endOffset)
    } catch (error) {
      if (!(error instanceof Crashed)) throw error
      this.crashes++
      // What the crash had covered or not: a tombstone may have been given its time by then.
      this.#cover(this.#nextOffset)
      const crashed = this.files
      for (let image = 0; image < IMAGES; image++) await this.#restart(crashed)
    }
  }

  /** With one of the things that a crash may have left. */
  async #restart(crashed: MemoryFs): Promise<void> {
    const { random } = this
    this.files = random.chance(0.3)
      ? crashed.clone(new Random(random.below(2 ** 31)))
      : crashed.image(new Random(random.below(2 ** 31)))
    if (this.#is('swap not finished at the start')) removeCleaned(this.files, DIR)
    const { cleanedOffset } = finishSwap(this.files, DIR)
    this.#cleanedOffset = cleanedOffset
    await this.#check(cleanedOffset)
  }

  #swapIn(swap: Swap, { firstDirtyOffset }: CompactionPlan): void {
    const { files } = this
    if (this.#is('cleaned names not flushed')) {
      const { cleaned } = readCompactionCheckpoint(files, DIR)
      writeCompactionCheckpoint(files, DIR, { cleanedOffset: firstDirtyOffset, cleaned, swap })
      finishSwap(files, DIR)
    } else if (this.#is('swap not written down')) {
      for (const base of swap.replaces) files.unlink(join(DIR, fileName(base, 'log')))
      files.rename(
        join(DIR, fileName(swap.base, 'log.cleaned')),
        join(DIR, fileName(swap.base, 'log')),
      )
      swapIn(files, DIR, swap, firstDirtyOffset)
    } else swapIn(files, DIR, swap, firstDirtyOffset)
  }

  #is(mutant: CompactionMutant): boolean {
    return this.#mutant === mutant
  }

  #cover(endOffset: number): void {
    for (const { offset, value } of this.records) {
      if (value === null && offset < endOffset && !this.#covered.has(offset)) {
        this.#covered.set(offset, this.#now)
      }
    }
  }

  // Checking.

  async #check(cleanedOffset: number): Promise<void> {
    const found = await this.#read()
    this.#checkContent(found.records)
    this.#checkNewest(found.records, cleanedOffset)
    this.#checkMarkers(found)
    this.#checkProducers(found.batches)
    this.#checkEpochs(found.batches)
  }

  /** Everything that is there, by offset; also that offsets rise and CRCs are right. */
  async #read() {
    const records = new Map<number, BatchRecord>()
    const batches: Buffer[] = []
    let expected = 0
    for (const { base, size } of this.#segments()) {
      const fd = this.files.open(join(DIR, fileName(base, 'log')), 'read')
      const all = Buffer.alloc(size)
      this.files.read(fd, all, 0, size, 0)
      this.files.close(fd)
      expected = Math.max(expected, base)
      for (let at = 0; at < size; ) {
        const bytes = all.subarray(at, at + batch.batchBytes(all, at))
        at += bytes.length
        if (batch.computeCrc(bytes) !== batch.storedCrc(bytes)) throw new Error('a wrong CRC')
        if (batch.baseOffset(bytes) < expected)
          throw new Error(`offset ${batch.baseOffset(bytes)} after ${expected}`)
        expected = batch.lastOffset(bytes) + 1
        batches.push(bytes)
        if (batch.isControl(batch.attributes(bytes))) continue
        for (const record of await readRecords(bytes, CONTENT_BYTES_MAX))
          records.set(record.offset, record)
      }
    }
    return { records, batches }
  }

  #checkContent(found: ReadonlyMap<number, BatchRecord>): void {
    const written = new Map(this.records.map(record => [record.offset, record]))
    for (const [offset, { key, value, timestamp }] of found) {
      const is = [key?.toString() ?? null, value?.toString() ?? null, timestamp].join()
      const original = written.get(offset)
      const was = [original?.key ?? null, original?.value ?? null, original?.timestamp].join()
      if (is !== was) throw new Error(`offset ${offset} is ${is} and was ${was}`)
    }
  }

  #checkNewest(found: ReadonlyMap<number, BatchRecord>, cleanedOffset: number): void {
    const newest = new Map<string, Written>()
    const newestCleaned = new Map<string, number>()
    for (const record of this.records) {
      if (record.aborted || record.key === null) continue
      // Of an open transaction it is not known yet: it must stay, and supersedes nothing.
      if (record.marker === Number.POSITIVE_INFINITY) {
        if (!found.has(record.offset))
          throw new Error(`${record.offset} of an open transaction is gone`)
        continue
      }
      newest.set(record.key, record)
      if (record.offset < cleanedOffset) newestCleaned.set(record.key, record.offset)
    }
    for (const [key, record] of newest) {
      const { offset, value } = record
      const covered = this.#covered.get(offset)
      const mayBeGone =
        value === null && covered !== undefined && covered + DELETE_RETENTION_MS <= this.#now
      if (!found.has(offset) && !mayBeGone)
        throw new Error(`the newest of ${key}, ${offset}, is gone`)
    }
    for (const { offset, key, aborted, marker } of this.records) {
      if (offset >= cleanedOffset || !found.has(offset) || marker === Number.POSITIVE_INFINITY)
        continue
      if (aborted) throw new Error(`${offset} was aborted and is there`)
      if (key === null) throw new Error(`${offset} has no key and is there`)
      if (newestCleaned.get(key) !== offset)
        throw new Error(`${offset} of ${key} is superseded and there`)
    }
  }

  #checkMarkers({
    records,
    batches,
  }: {
    records: ReadonlyMap<number, BatchRecord>
    batches: readonly Buffer[]
  }): void {
    const ends = new Set(batches.map(bytes => batch.lastOffset(bytes)))
    for (const { offset, marker } of this.records) {
      const isMissing = marker >= 0 && marker !== Number.POSITIVE_INFINITY && !ends.has(marker)
      if (records.has(offset) && isMissing)
        throw new Error(`${offset} is there, its marker ${marker} is not`)
    }
  }

  #checkProducers(batches: readonly Buffer[]): void {
    const ends = new Map(batches.map(bytes => [batch.lastOffset(bytes), bytes]))
    for (const [id, { lastOffset }] of this.#lastOfProducers()) {
      const bytes = ends.get(lastOffset)
      if (bytes === undefined)
        throw new Error(`the last batch of producer ${id}, ${lastOffset}, is gone`)
      const last = batch.baseSequence(bytes) + batch.lastOffsetDelta(bytes)
      if (last !== this.#sequences.get(id)! - 1)
        throw new Error(`producer ${id} ends with sequence ${last}`)
    }
  }

  /** Who copies what is there learns the same. */
  #checkEpochs(batches: readonly Buffer[]): void {
    const starts = new Map<number, number>()
    for (const bytes of batches) {
      const epoch = batch.leaderEpoch(bytes)
      if (!starts.has(epoch)) starts.set(epoch, batch.baseOffset(bytes))
    }
    for (const { epoch, startOffset } of this.#epochs) {
      const start = starts.get(epoch)
      if (start !== startOffset)
        throw new Error(`epoch ${epoch} began at ${startOffset}, and now at ${start}`)
    }
  }

  /** The log opens as it is, without a word. */
  async #recover(): Promise<void> {
    Segment.create(this.files, DIR, this.#nextOffset).seal()
    const { log, notes } = recover(this.files, {
      ...{
        dir: DIR,
        topicId: TOPIC_ID,
        name: 'log-0',
        config: CONFIG,
        logStartOffset: 0,
        isStartKnown: true,
      },
      ...{ recoveryPoint: this.#nextOffset, scanFrom: this.#nextOffset, clean: true, journal: [] },
    })
    const said = notes.filter(note => !/leader epochs/.test(note))
    if (said.length > 0) throw new Error(`recovery said: ${said.join('; ')}`)
    if (log.nextOffset !== this.#nextOffset) throw new Error(`it ends at ${log.nextOffset}`)
    if (log.cleanedOffset !== this.#cleanedOffset)
      throw new Error('what was compacted is forgotten')
    const left = this.files.readdir(DIR).filter(name => /cleaned|tmp/.test(name))
    if (left.length > 0) throw new Error(`left behind: ${left}`)
    log.close()
    await BatchOpener.load(1)
  }
}

const KEYS = ['', 'a', 'b', 'c', 'dd', 'eee', 'k'.repeat(300)]

const CONFIG = {
  ...{ segmentBytes: SEGMENT_BYTES, segmentMs: 1e12, retentionMs: -1, retentionBytes: -1 },
  ...{ deletes: false, flushMessages: 1, flushMs: 1e12, logAppendTime: false },
  ...{ compaction: null, producerIdExpirationMs: 1e12, hasGaps: true },
}
