import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as header from '../../src/protocol/record-batch.ts'
import { ENTRY_HANDLE, ENTRY_HEADER_BYTES, KIND_APPEND } from '../../src/shared/entry.ts'
import { createSharedMemory } from '../../src/shared/layout.ts'
import { Ring } from '../../src/shared/ring.ts'
import { BufferPool } from '../../src/topics/buffer-pool.ts'
import { type Tail, Tails } from '../../src/topics/tail.ts'
import { fetchOne } from '../apis/fetching.ts'
import { Wire } from '../apis/wire.ts'
import { plainBatch } from '../lib/batches.ts'
import { Random } from '../lib/random.ts'

const SEED = 20261128
const RUNS = 200
const STEPS = 400
const PARTITIONS = 3

const test = suite('the tail of a log')

interface Appended {
  readonly partition: number
  readonly base: number
  readonly last: number
  readonly count: number
  readonly bytes: number
}

type Written = ConstructorParameters<typeof Tails>[0]

/** A ring with a worker that gives entries back before the main thread has heard of them, as a real one may. */
class Run {
  readonly #random: Random
  readonly #producer: Ring
  readonly #consumer: Ring
  readonly #tails: Tail[]
  readonly #pool = new BufferPool()
  readonly #logs: Buffer[][] = Array.from({ length: PARTITIONS }, () => [])
  readonly #unheard: Appended[] = []
  #appended = 0
  /** Reads that were answered out of the ring. */
  hits = 0

  constructor(seed: number, ringOf: (ring: Ring) => Written = ring => ring) {
    this.#random = new Random(seed)
    const memory = createSharedMemory(4096, 1024)
    this.#producer = new Ring(memory, 'request')
    this.#consumer = new Ring(memory, 'request')
    const tails = new Tails(ringOf(this.#producer))
    this.#tails = this.#logs.map(() => tails.take()!)
  }

  go(): void {
    for (let step = 0; step < STEPS; step++) {
      const dice = this.#random.below(10)
      if (dice < 4) this.#append()
      else if (dice < 6) this.#work()
      else if (dice < 7) this.#hear()
      else this.#read()
    }
  }

  #append(): void {
    const records = 1 + this.#random.below(3)
    const contentBytes = 4 + this.#random.below(300)
    const bytes = plainBatch({ id: this.#appended++, records, contentBytes })
    const at = this.#producer.reserve(KIND_APPEND, bytes.length)
    if (at === -1) return
    this.#producer.words[(at >> 2) + ENTRY_HANDLE] = this.#random.below(PARTITIONS)
    bytes.copy(this.#producer.bytes, at + ENTRY_HEADER_BYTES)
    this.#producer.publish()
  }

  #work(): void {
    const ring = this.#consumer
    for (let at = ring.next(); at !== -1; at = ring.next()) {
      const partition = ring.words[(at >> 2) + ENTRY_HANDLE]!
      const log = this.#logs[partition]!
      const start = at + ENTRY_HEADER_BYTES
      const size = header.batchBytes(ring.bytes, start)
      const bytes = ring.bytes.subarray(start, start + size)
      header.assign(bytes, endOf(log), 0)
      log.push(Buffer.from(bytes))
      const [base, last] = [header.baseOffset(bytes), header.lastOffset(bytes)]
      this.#unheard.push({ partition, base, last, count: ring.countAt(at), bytes: size })
    }
    ring.release()
  }

  #hear(): void {
    for (const { partition, base, last, count, bytes } of this.#unheard.splice(0)) {
      this.#tails[partition]!.note(base, last, count, bytes)
    }
  }

  #read(): void {
    const partition = this.#random.below(PARTITIONS)
    const log = this.#logs[partition]!
    const end = endOf(log)
    const offset = Math.max(0, end - this.#random.below(12))
    const maxBytes = this.#random.below(1_500)
    const atLeastOne = this.#random.chance(0.5)
    const tail = this.#tails[partition]!
    const found = tail.read(this.#pool, offset, end, maxBytes, atLeastOne)
    if (found === undefined) return
    this.hits++
    const records = found?.records ?? Buffer.alloc(0)
    const heard = log.filter(b => !this.#unheard.some(u => isOf(u, partition, b)))
    const wanted = whole(heard, offset, maxBytes, atLeastOne)
    assert.ok(records.equals(wanted), `${partition} from ${offset}: not what was appended`)
    if (found !== null) this.#pool.release(found.buffer)
    assert.is(this.#pool.lentBytes, 0)
  }
}

const endOf = (log: readonly Buffer[]): number =>
  log.length === 0 ? 0 : header.lastOffset(log[log.length - 1]!) + 1

const isOf = (a: Appended, partition: number, bytes: Buffer): boolean =>
  a.partition === partition && a.base === header.baseOffset(bytes)

/** What a read returns of these batches. */
function whole(log: readonly Buffer[], offset: number, maxBytes: number, atLeastOne: boolean) {
  const found: Buffer[] = []
  let bytes = 0
  for (const one of log.filter(b => header.lastOffset(b) >= offset)) {
    bytes += one.length
    if (bytes > maxBytes && !(atLeastOne && found.length === 0)) break
    found.push(one)
  }
  return Buffer.concat(found)
}

test(`it is what was appended, or not there any more (seeds from ${SEED})`, () => {
  let hits = 0
  for (let i = 0; i < RUNS; i++) {
    const run = new Run(SEED + i)
    run.go()
    hits += run.hits
  }
  assert.ok(hits > RUNS * 10, `${hits} reads were answered`)
})

test('a ring that does not know what it has written over is found out', () => {
  const careless = (ring: Ring): Written => ({
    ...{ bytes: ring.bytes, size: ring.size },
    stillHolds: () => true,
  })
  const all = (): void => {
    for (let i = 0; i < RUNS; i++) new Run(SEED + i, careless).go()
  }
  assert.throws(all)
})

test('what nobody reads is given up, and taken up again', () => {
  const tails = new Tails({ bytes: Buffer.alloc(0), size: 1, stillHolds: () => true })
  const tail: Tail = tails.take()!
  let noted = 0
  while (tail.note(noted, noted, 0, 100)) noted++
  assert.is(noted, 256)
})

test('a consumer that keeps up is answered without a file', async () => {
  const wire = await Wire.start()
  await wire.createTopic('kept-up', 1)
  const partition = wire.node.registry.topic('kept-up')!.partitions[0]!
  const { reader } = partition
  const listen = partition.listen.bind(partition)
  const consumer = wire.over(await wire.connect())
  await wire.produce('kept-up', 1)
  assert.is((await fetchOne(consumer, 'kept-up', 0)).highWatermark, 1)
  let files = 0
  for (const segment of reader.segments) {
    const read = segment.read.bind(segment)
    segment.read = (...args) => {
      files++
      return read(...args)
    }
  }
  for (let offset = 1; offset <= 200; offset++) {
    const awaited = new Promise<void>(resolve => {
      partition.listen = onAdvance => {
        resolve()
        return listen(onAdvance)
      }
    })
    const waiting = fetchOne(consumer, 'kept-up', offset, { maxWaitMs: 10_000 })
    await awaited
    await wire.produce('kept-up', 1)
    const { records } = await waiting
    assert.equal([header.baseOffset(records), header.lastOffset(records)], [offset, offset])
    assert.is(header.computeCrc(records), header.storedCrc(records))
  }
  assert.is(files, 0)
  await wire.close()
})

test.run()
