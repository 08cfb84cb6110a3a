import { join } from 'node:path'
import * as batch from '../../src/protocol/record-batch.ts'
import {
  ENTRY_BASE_OFFSET_F64,
  ENTRY_EPOCH,
  ENTRY_ERROR,
  ENTRY_HANDLE,
  ENTRY_HEADER_BYTES,
  ENTRY_KIND,
  ENTRY_MORE,
  ENTRY_PARTITION,
  ENTRY_PAYLOAD,
  ENTRY_POSITION,
  ENTRY_SEGMENT_F64,
  ENTRY_TOKEN,
  ENTRY_TOPIC_ID,
  ENTRY_TRANSACTION_VERSION,
  KIND_APPEND,
  KIND_APPEND_SHARED,
  KIND_COMMAND,
  KIND_PLACED,
  KIND_REPLICATE,
  KIND_STABILITY,
} from '../../src/shared/entry.ts'
import { createSharedMemory } from '../../src/shared/layout.ts'
import { Ring } from '../../src/shared/ring.ts'
import type {
  CommandAnswer,
  CommandName,
  Commands,
  LogView,
  PartitionToOpen,
} from '../../src/storage/commands.ts'
import { type FileSystem, readFile } from '../../src/storage/fs.ts'
import type { LogConfig, Stability } from '../../src/storage/log.ts'
import { PartitionStore } from '../../src/storage/partition-store.ts'
import { fileName } from '../../src/storage/segment.ts'

export const LOG_CONFIG: LogConfig = {
  segmentBytes: 1 << 30,
  segmentMs: Number.MAX_SAFE_INTEGER,
  retentionMs: -1,
  retentionBytes: -1,
  deletes: true,
  flushMessages: 1,
  flushMs: Number.MAX_SAFE_INTEGER,
  logAppendTime: false,
  compaction: null,
  producerIdExpirationMs: 86_400_000,
  hasGaps: false,
}

export const DATA_DIR = '/data'

export interface Outcome {
  readonly token: number
  readonly handle: number
  readonly error: number
  /** -1 if it was not accepted. */
  readonly baseOffset: number
  readonly duplicate: boolean
}

export interface DriverOptions {
  readonly files: FileSystem
  readonly worker?: number
  readonly clean?: boolean
  readonly journalFileBytes?: number
  readonly bypassBytes?: number
  readonly openLogsMax?: number
  readonly now?: () => number
  readonly freeBytes?: () => number
  readonly monotonic?: () => number
}

/** Of a disk with less than that nothing is taken. */
export const KEPT_FREE_BYTES = 1 << 20

/** A PartitionStore with both ends of its rings in this thread: what the main thread does, step by step. */
export class StoreDriver {
  readonly store: PartitionStore
  readonly #toWorker: Ring
  readonly #fromWorker: Ring
  readonly #fromLeader: Ring
  #nextToken = 1
  #steps = 0
  readonly #outcomes: Outcome[] = []
  /** Of appends that were told of before they were flushed. */
  readonly placed: Outcome[] = []
  /** What was told of transactions, in order. */
  readonly stabilities: Stability[] = []
  readonly #answers = new Map<number, CommandAnswer>()
  /** Offline events, by handle. */
  readonly offline = new Map<number, string>()
  /** Stacks that came with them. */
  readonly stacks: string[] = []

  constructor(options: DriverOptions) {
    const memory = createSharedMemory(1 << 20, 1 << 16)
    const replicated = createSharedMemory(1 << 20, 1 << 16)
    this.#fromLeader = new Ring(replicated, 'request')
    this.#toWorker = new Ring(memory, 'request')
    this.#fromWorker = new Ring(memory, 'completion')
    options.files.mkdir(DATA_DIR)
    options.files.fsyncDir('/')
    this.store = new PartitionStore({
      files: options.files,
      dataDir: DATA_DIR,
      worker: options.worker ?? 0,
      clean: options.clean ?? false,
      requests: new Ring(memory, 'request'),
      replicated: [new Ring(replicated, 'request')],
      completions: new Ring(memory, 'completion'),
      now: options.now ?? (() => 1_000_000),
      // Every step of a command is one by itself: nothing else may depend on their being together.
      monotonic: options.monotonic ?? (() => this.#steps++),
      journalFileBytes: options.journalFileBytes ?? 1 << 20,
      bypassBytes: options.bypassBytes ?? 64 * 1024,
      openLogsMax: options.openLogsMax ?? 100,
      freeBytes: options.freeBytes ?? (() => Number.POSITIVE_INFINITY),
      keptFreeBytes: KEPT_FREE_BYTES,
      reserveBytes: 512,
      waitForSpace: () => this.#drain(),
      wakeMain: () => this.#drain(),
    })
  }

  /** Submits a batch; it is handled by the next `turn`. @returns its token */
  submit(
    partition: PartitionToOpen,
    bytes: Buffer,
    epoch = partition.leaderEpoch,
    version = 0,
  ): number {
    return this.#send(this.#toWorker, KIND_APPEND, partition, bytes, epoch, version)
  }

  /** The same of a batch that followers wait for. */
  share(partition: PartitionToOpen, bytes: Buffer, epoch = partition.leaderEpoch): number {
    return this.#send(this.#toWorker, KIND_APPEND_SHARED, partition, bytes, epoch)
  }

  /** The same with a batch as its leader has it, by another ring. */
  replicate(partition: PartitionToOpen, bytes: Buffer, epoch = partition.leaderEpoch): number {
    return this.#send(this.#fromLeader, KIND_REPLICATE, partition, bytes, epoch)
  }

  #send(
    ring: Ring,
    kind: number,
    partition: PartitionToOpen,
    bytes: Buffer,
    epoch: number,
    version = 0,
  ) {
    const at = ring.reserve(kind, bytes.length)
    if (at === -1) throw new Error('the ring is full')
    const word = at >> 2
    ring.words[word + ENTRY_HANDLE] = partition.handle
    ring.words[word + ENTRY_TOKEN] = this.#nextToken
    ring.words[word + ENTRY_PARTITION] = partition.partition
    Buffer.from(partition.topicId, 'base64url').copy(ring.bytes, at + ENTRY_TOPIC_ID * 4)
    ring.words[word + ENTRY_EPOCH] = epoch
    ring.words[word + ENTRY_TRANSACTION_VERSION] = version
    bytes.copy(ring.bytes, at + ENTRY_HEADER_BYTES)
    ring.publish()
    return this.#nextToken++
  }

  #turn(): boolean {
    const hasTurned = this.store.turn()
    return this.store.step() || hasTurned
  }

  /** Runs the store until nothing waits. @returns what became of the appends, in order */
  run(): Outcome[] {
    while (this.#turn()) this.#drain()
    return this.#outcomes.splice(0)
  }

  /** @param version of its transaction; 0: it is of none */
  append(partition: PartitionToOpen, bytes: Buffer, version = 0): Outcome {
    this.submit(partition, bytes, partition.leaderEpoch, version)
    return this.run().at(-1)!
  }

  tick(): void {
    this.store.tick()
    this.#drain()
  }

  /** Runs a command and all that was submitted before it; throws if it was refused. */
  command<N extends CommandName>(
    name: N,
    request: Commands[N]['request'],
  ): Commands[N]['response'] {
    const ring = this.#toWorker
    const json = Buffer.from(JSON.stringify({ name, request }))
    const at = ring.reserve(KIND_COMMAND, json.length)
    if (at === -1) throw new Error('the ring is full')
    const token = this.#nextToken++
    ring.words[(at >> 2) + ENTRY_TOKEN] = token
    json.copy(ring.bytes, at + ENTRY_HEADER_BYTES)
    ring.publish()
    while (this.#turn()) this.#drain()
    const answer = this.#answers.get(token)
    if (answer === undefined) throw new Error(`${name} was not answered`)
    this.#answers.delete(token)
    if ('error' in answer) throw new Error(answer.error)
    return answer.response as Commands[N]['response']
  }

  /** `deleted`: topic ids, as the metadata's tombstones say. */
  open(
    partitions: readonly PartitionToOpen[],
    recovering = true,
    deleted: readonly string[] = [],
  ): LogView[] {
    return this.command('open', { partitions, recovering, deleted }).views
  }

  /** Moves one partition's start up. @returns the log as it is then */
  deleteRecords(handle: number, offset: number): LogView {
    const [view] = this.command('deleteRecords', { items: [{ handle, offset }] }).views
    if (view === undefined) throw new Error('it is offline')
    return view
  }

  #drain(): void {
    const ring = this.#fromWorker
    const parts: Buffer[] = []
    for (let at = ring.next(); at !== -1; at = ring.next()) {
      const word = at >> 2
      const kind = ring.words[word + ENTRY_KIND]
      if (kind === KIND_APPEND || kind === KIND_PLACED) {
        const told = kind === KIND_APPEND ? this.#outcomes : this.placed
        told.push({
          token: ring.words[word + ENTRY_TOKEN]!,
          handle: ring.words[word + ENTRY_HANDLE]!,
          error: ring.words[word + ENTRY_ERROR]!,
          baseOffset: ring.doubles[(at >> 3) + ENTRY_BASE_OFFSET_F64]!,
          duplicate: ring.words[word + ENTRY_POSITION] === -1,
        })
        continue
      }
      if (kind === KIND_STABILITY) {
        this.stabilities.push({
          undecided: ring.doubles[(at >> 3) + ENTRY_BASE_OFFSET_F64]!,
          segmentBase: ring.doubles[(at >> 3) + ENTRY_SEGMENT_F64]!,
          abortedBytes: ring.words[word + ENTRY_POSITION]!,
        })
        continue
      }
      const start = at + ENTRY_HEADER_BYTES
      parts.push(Buffer.from(ring.bytes.subarray(start, start + ring.words[word + ENTRY_PAYLOAD]!)))
      if (ring.words[word + ENTRY_MORE] === 1) continue
      const message = JSON.parse(Buffer.concat(parts.splice(0)).toString())
      if (message.event === 'offline') {
        this.offline.set(message.handle, message.reason)
        if (message.stack !== null) this.stacks.push(message.stack)
      } else this.#answers.set(ring.words[word + ENTRY_TOKEN]!, message)
    }
    ring.release()
  }
}

export interface Stored {
  readonly baseOffset: number
  readonly bytes: Buffer
}

/** The batches of a partition as a reader sees them: up to the sizes that the view names. */
export function readLog(files: FileSystem, name: string, view: LogView): Stored[] {
  const found: Stored[] = []
  for (const { base, size } of view.segments) {
    const path = join(DATA_DIR, name, fileName(base, 'log'))
    const content = readFile(files, path).subarray(0, size)
    for (let at = 0; at < content.length; ) {
      const bytes = content.subarray(at, at + batch.batchBytes(content, at))
      found.push({ baseOffset: batch.baseOffset(content, at), bytes })
      at += bytes.length
    }
  }
  return found
}
