import { join } from 'node:path'
import {
  ENTRY_HEADER_BYTES,
  ENTRY_MORE,
  ENTRY_PARTITION,
  ENTRY_PAYLOAD,
  ENTRY_TOKEN,
  ENTRY_TOPIC_ID,
  KIND_APPEND,
  KIND_COMMAND,
  KIND_EVENT,
} from '../shared/entry.ts'
import type { Ring } from '../shared/ring.ts'
import type {
  CommandAnswer,
  CommandMessage,
  CommandName,
  Commands,
  LogView,
  OfflineEvent,
  PartitionToOpen,
} from './commands.ts'
import { type FileSystem, readFile, replaceFile } from './fs.ts'
import { copyCompletion, GroupCommit, type OwnedLog } from './group-commit.ts'
import { forEachEntry, Journal, journalPath, readJournal } from './journal.ts'
import type { Log } from './log.ts'
import { rebuildIndexes, recover } from './recovery.ts'
import { readWorkerCheckpoint, type SafePoint, writeWorkerCheckpoint } from './worker-checkpoint.ts'

export interface PartitionStoreOptions {
  readonly files: FileSystem
  readonly dataDir: string
  /** Number of this worker; its journal is in `journal/<worker>`. */
  readonly worker: number
  /** Whether the last stop was clean: then nothing is replayed or verified. */
  readonly clean: boolean
  readonly requests: Ring
  readonly completions: Ring
  /** ms since the epoch. */
  readonly now: () => number
  readonly journalFileBytes: number
  readonly bypassBytes: number
  /** Called when the completion ring is full: returns when the main thread may have made room. */
  readonly waitForSpace: () => void
}

const NOWHERE: SafePoint = { logStartOffset: 0, recoveryPoint: 0, scanFrom: 0 }
/** Messages to the main thread are cut into parts of this size. */
const MESSAGE_PART_BYTES = 256 * 1024
/** Idle work and flush.ms are looked at this often, in ms. */
const TICK_MS = 100

/**
 * Everything one partition worker owns: the logs, the journal, the group commit and the commands. It has no thread of
 * its own: the worker calls `turn` while there is work and `tick` when there is none, tests call them inline.
 */
export class PartitionStore {
  readonly #o: PartitionStoreOptions
  readonly #logs = new Map<number, OwnedLog>()
  readonly #journalDir: string
  readonly #group: GroupCommit
  readonly #journal: Journal
  readonly #incarnation: number
  /** What the checkpoints of all workers say, and the journals' entries by topic id and partition, until all is open. */
  readonly #safePoints = new Map<string, SafePoint>()
  readonly #journalled = new Map<string, Buffer[]>()
  readonly #notes: string[] = []
  /** Logs that have entries in a journal file and are not flushed since; by journal file. */
  readonly #protected: [Set<Log>, Set<Log>] = [new Set(), new Set()]
  #journalFailure: string | null = null
  #checkpointStale = false
  #lastTick = 0
  #closed = false

  constructor(options: PartitionStoreOptions) {
    this.#o = options
    const { files, dataDir, worker } = options
    this.#journalDir = join(dataDir, 'journal', String(worker))
    const own = this.#readJournals()
    this.#incarnation = own + 1
    this.#journal = new Journal(
      files,
      this.#journalDir,
      options.journalFileBytes,
      this.#incarnation,
    )
    this.#group = new GroupCommit({
      requests: options.requests,
      logs: this.#logs,
      journal: this.#journal,
      now: options.now,
      bypassBytes: options.bypassBytes,
      beforeTurn: () => this.#flushProtected(this.#journal.current === 0 ? 1 : 0),
      onJournalled: log => this.#protected[this.#journal.current].add(log),
      onFailure: (owned, error) => this.#takeOffline(owned, error),
      onJournalFailure: error => this.#failJournal(error),
    })
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /**
   * Reads the checkpoints and journals of all workers: the partitions may have been spread differently before.
   * @returns the newest incarnation this worker's journal has seen.
   */
  #readJournals(): number {
    const { files, dataDir, worker, clean } = this.#o
    const root = join(dataDir, 'journal')
    let newest = 0
    if (!files.exists(root)) return newest
    for (const name of files.readdir(root)) {
      const dir = join(root, name)
      const { checkpoint, damaged } = readWorkerCheckpoint(files, dir)
      if (damaged) this.#notes.push(`${dir}: the checkpoint is damaged, so everything is verified`)
      for (const [partition, point] of Object.entries(checkpoint.partitions)) {
        const known = this.#safePoints.get(partition)
        if (known === undefined || known.recoveryPoint < point.recoveryPoint) {
          this.#safePoints.set(partition, point)
        }
      }
      if (name === String(worker)) newest = Math.max(newest, checkpoint.flushedIncarnation)
      if (clean && !damaged) continue
      const contents = [0, 1]
        .map(i => journalPath(dir, i))
        .map(path => (files.exists(path) ? readFile(files, path) : Buffer.alloc(0)))
      const read = readJournal(contents, checkpoint.flushedIncarnation)
      for (const entries of read.groups) this.#keepEntries(entries)
      if (name === String(worker)) newest = Math.max(newest, read.incarnation)
    }
    return newest
  }

  #keepEntries(entries: Buffer): void {
    forEachEntry(entries, entry => {
      const topicId = entry.toString('base64url', ENTRY_TOPIC_ID * 4, ENTRY_TOPIC_ID * 4 + 16)
      const key = keyOf(topicId, entry.readUInt32LE(ENTRY_PARTITION * 4))
      const list = this.#journalled.get(key)
      if (list === undefined) this.#journalled.set(key, [entry])
      else list.push(entry)
    })
  }

  /** Handles one group of appends and at most one command. @returns false if there was nothing to do. */
  turn(): boolean {
    const { requests } = this.#o
    const command = this.#group.gather()
    if (this.#group.isEmpty && command === -1) return false
    if (!this.#group.isEmpty) this.#group.commit(at => this.#complete(at))
    if (command !== -1) this.#run(command)
    requests.release()
    this.#o.completions.publish()
    if (this.#o.now() - this.#lastTick >= TICK_MS) this.#flushOverdue()
    return true
  }

  /** Work for idle moments: flush.ms, flushing what the journal protects, room in the journal. */
  tick(): void {
    this.#flushOverdue()
    if (this.#journalFailure !== null || this.#closed) return
    for (const file of [0, 1] as const) {
      if (this.#protected[file].size > 0) this.#flushProtected(file)
    }
    if (this.#checkpointStale) this.#checkpoint(0)
    if (this.#journal.isUsed) this.#journal.preallocateSome()
    this.#o.completions.publish()
  }

  #flushOverdue(): void {
    const now = this.#o.now()
    this.#lastTick = now
    for (const owned of this.#logs.values()) {
      const { log } = owned
      if (log.offline !== null || log.isDurable || log.unflushedRecords === 0) continue
      if (now - log.unflushedSince < log.config.flushMs) continue
      this.#guard(owned, () => log.flush())
      this.#checkpointStale = true
    }
  }

  #complete(at: number): void {
    const { requests, completions } = this.#o
    const completion = this.#reserve(KIND_APPEND, 0)
    copyCompletion(requests, at, completions, completion)
  }

  /** Room in the completion ring, waiting for the main thread if it has fallen behind. */
  #reserve(kind: number, payloadBytes: number): number {
    const { completions } = this.#o
    for (;;) {
      const at = completions.reserve(kind, payloadBytes)
      if (at !== -1) return at
      completions.publish()
      this.#o.waitForSpace()
    }
  }

  /** Sends a message in as many entries as it takes; all but the last say that more follows. */
  #send(kind: number, token: number, message: CommandAnswer | OfflineEvent): void {
    const { completions } = this.#o
    const json = Buffer.from(JSON.stringify(message))
    for (let from = 0; from < json.length; from += MESSAGE_PART_BYTES) {
      const part = json.subarray(from, from + MESSAGE_PART_BYTES)
      const at = this.#reserve(kind, part.length)
      completions.words[(at >> 2) + ENTRY_TOKEN] = token
      completions.words[(at >> 2) + ENTRY_MORE] = from + part.length < json.length ? 1 : 0
      part.copy(completions.bytes, at + ENTRY_HEADER_BYTES)
    }
  }

  #takeOffline(owned: OwnedLog, error: unknown): void {
    if (owned.log.offline !== null) return
    const reason = error instanceof Error ? error.message : String(error)
    owned.log.fail(reason)
    this.#send(KIND_EVENT, 0, { event: 'offline', handle: owned.handle, reason })
  }

  /** Without its journal a worker can make no small write durable: every such partition goes offline. */
  #failJournal(error: unknown): void {
    this.#journalFailure = error instanceof Error ? error.message : String(error)
    for (const owned of this.#logs.values()) {
      if (owned.log.isDurable) this.#takeOffline(owned, `journal: ${this.#journalFailure}`)
    }
  }

  #guard(owned: OwnedLog, action: () => void): void {
    try {
      action()
    } catch (error) {
      this.#takeOffline(owned, error)
    }
  }

  /** Flushes the logs that a journal file protects, and says so in the checkpoint: the file may be overwritten. */
  #flushProtected(file: 0 | 1): void {
    for (const owned of this.#logs.values()) {
      const { log } = owned
      if (!this.#protected[file].has(log) || log.offline !== null) continue
      this.#guard(owned, () => log.flush())
    }
    this.#checkpoint(0)
    this.#protected[file].clear()
  }

  /** With an incarnation, the journal groups up to it count no more. */
  #checkpoint(flushedIncarnation: number): void {
    const partitions: Record<string, SafePoint> = {}
    for (const { key, log } of this.#logs.values()) {
      const { logStartOffset, recoveryPoint, scanFrom } = log
      if (log.nextOffset > 0) partitions[key] = { logStartOffset, recoveryPoint, scanFrom }
    }
    writeWorkerCheckpoint(this.#o.files, this.#journalDir, {
      flushedIncarnation: Math.max(flushedIncarnation, this.#incarnation - 1),
      partitions,
    })
    this.#checkpointStale = false
  }

  #run(at: number): void {
    const { requests } = this.#o
    const word = at >> 2
    const token = requests.words[word + ENTRY_TOKEN]!
    const start = at + ENTRY_HEADER_BYTES
    const json = requests.bytes.toString(
      'utf8',
      start,
      start + requests.words[word + ENTRY_PAYLOAD]!,
    )
    const { name, request } = JSON.parse(json) as CommandMessage
    let answer: CommandAnswer
    try {
      const run = this.#commands[name] as (request: unknown) => unknown
      answer = { response: run(request) }
    } catch (error) {
      const owned = 'handle' in request ? this.#logs.get(request.handle) : undefined
      if (owned !== undefined) this.#takeOffline(owned, error)
      const kind = error instanceof Error ? error.name : 'Error'
      answer = { error: error instanceof Error ? error.message : String(error), kind }
    }
    this.#send(KIND_COMMAND, token, answer)
  }

  /** How to run each command. One that throws on a partition's files takes that partition offline. */
  readonly #commands: {
    [N in CommandName]: (request: Commands[N]['request']) => Commands[N]['response']
  } = {
    open: ({ partitions, recovering }) => {
      const made: string[] = []
      const views = partitions.map(p => this.#open(p, recovering, made))
      // All at once: the first flush takes most of the others' work with it.
      if (made.length > 0) this.#o.files.fsyncDir(this.#o.dataDir)
      for (const dir of made) this.#o.files.fsyncDir(dir)
      const notes = this.#notes.splice(0)
      return { views, notes }
    },
    ready: ({ workers }) => {
      this.#journalled.clear()
      this.#checkpoint(0)
      if (this.#o.worker === 0) this.#removeLeftovers(workers)
      return null
    },
    configure: ({ handles, config }) => {
      for (const handle of handles) this.#owned(handle).log.config = config
      return null
    },
    deleteRecords: ({ handle, offset }) => {
      const { log } = this.#owned(handle)
      const removed = log.deleteRecordsBefore(offset)
      // The new start must be durable before records vanish, or a crash could bring some of them back.
      this.#checkpoint(0)
      log.removeFiles(removed)
      return viewOf(handle, log)
    },
    delete: ({ handles }) => {
      for (const handle of handles) this.#delete(handle)
      return null
    },
    retention: ({ handles }) => {
      const views: LogView[] = []
      for (const handle of handles) {
        const owned = this.#logs.get(handle)
        if (owned === undefined || owned.log.offline !== null) continue
        this.#guard(owned, () => {
          const { log } = owned
          log.producers.expire(this.#o.now() - log.config.producerIdExpirationMs)
          const removed = log.applyRetention(this.#o.now())
          if (removed.length === 0) return
          log.removeFiles(removed)
          views.push(viewOf(handle, log))
        })
      }
      return { views }
    },
    producers: ({ handle }) => {
      const { producers } = this.#owned(handle).log.producers
      return {
        producers: [...producers].map(([producerId, p]) => ({
          producerId,
          producerEpoch: p.epoch,
          lastSequence: p.batches.at(-1)?.lastSequence ?? -1,
          lastTimestamp: p.lastTimestamp,
        })),
      }
    },
    rebuildIndexes: ({ handle, base }) => {
      const { log } = this.#owned(handle)
      rebuildIndexes(this.#o.files, log, base)
      return null
    },
    close: () => this.#close(),
  }

  #owned(handle: number): OwnedLog {
    const owned = this.#logs.get(handle)
    if (owned === undefined) throw new Error(`partition ${handle} is not open here`)
    return owned
  }

  /** Opens a partition: at the start of the broker with recovery, later as a new and empty one. */
  #open(p: PartitionToOpen, recovering: boolean, made: string[]): LogView {
    const { files, dataDir, clean } = this.#o
    const key = keyOf(p.topicId, p.partition)
    const safe = this.#safePoints.get(key) ?? NOWHERE
    const journal = this.#journalled.get(key) ?? []
    const dir = join(dataDir, p.name)
    try {
      if (!recovering) this.#moveStrayAside(dir)
      const { log, notes, isNew } = recover(files, {
        ...safe,
        dir,
        topicId: p.topicId,
        name: p.name,
        config: p.config,
        clean: clean || !recovering,
        journal,
      })
      this.#notes.push(...notes)
      if (isNew) made.push(dir)
      const topicId = Buffer.from(p.topicId, 'base64url')
      const { handle, partition } = p
      this.#logs.set(handle, { log, key, handle, partition, topicId, groupBytes: 0 })
      return viewOf(handle, log)
    } catch (error) {
      const offline = error instanceof Error ? error.message : String(error)
      if (journal.length > 0) this.#saveAside(dir, journal)
      const { handle } = p
      return { handle, logStartOffset: 0, nextOffset: 0, segments: [], epochs: [], offline }
    }
  }

  /** A folder of this name that a new topic finds is not its own: it is kept under another name. */
  #moveStrayAside(dir: string): void {
    const { files, dataDir } = this.#o
    if (!files.exists(dir)) return
    const aside = `${dir}.${this.#o.now()}-stray`
    files.rename(dir, aside)
    files.fsyncDir(dataDir)
    this.#notes.push(`${dir} belonged to no topic and is now ${aside}`)
  }

  /** Keeps the journal entries of a partition that could not be opened, for whoever repairs it. */
  #saveAside(dir: string, journal: readonly Buffer[]): void {
    const path = join(dir, `incarnation-${this.#incarnation}.unreplayed`)
    replaceFile(this.#o.files, path, Buffer.concat(journal))
    this.#notes.push(`${path} holds ${journal.length} acknowledged batches that were not replayed`)
  }

  /**
   * Removes what earlier runs left: journals of workers that are no more (all they held is flushed by now), and
   * folders of topics whose deletion a crash interrupted.
   */
  #removeLeftovers(workers: number): void {
    const { files, dataDir } = this.#o
    const journals = join(dataDir, 'journal')
    for (const name of files.readdir(journals)) {
      if (Number(name) >= workers) removeFolder(files, join(journals, name))
    }
    files.fsyncDir(journals)
    for (const name of files.readdir(dataDir)) {
      if (name.endsWith('-delete')) removeFolder(files, join(dataDir, name))
    }
  }

  #delete(handle: number): void {
    const { files, dataDir } = this.#o
    const owned = this.#logs.get(handle)
    if (owned === undefined) return
    const { log } = owned
    this.#logs.delete(handle)
    for (const set of this.#protected) set.delete(log)
    for (const segment of log.segments) segment.close()
    // Renamed first: a crash amid the removal leaves a name that the next start knows to remove.
    const doomed = `${log.dir}.${this.#o.now()}-delete`
    files.rename(log.dir, doomed)
    files.fsyncDir(dataDir)
    removeFolder(files, doomed)
    this.#checkpointStale = true
  }

  #close(): { clean: boolean } {
    let clean = this.#journalFailure === null
    for (const owned of this.#logs.values()) {
      this.#guard(owned, () => owned.log.close())
      if (owned.log.offline !== null) clean = false
    }
    if (clean) this.#checkpoint(this.#incarnation)
    this.#journal.close()
    this.#closed = true
    return { clean }
  }
}

function viewOf(handle: number, log: Log): LogView {
  return {
    handle,
    logStartOffset: log.logStartOffset,
    nextOffset: log.nextOffset,
    segments: log.segments.map(s => ({ base: s.baseOffset, size: s.size })),
    epochs: log.epochs.entries,
    offline: log.offline,
  }
}

function removeFolder(files: FileSystem, dir: string): void {
  for (const name of files.readdir(dir)) files.unlink(join(dir, name))
  files.rmdir(dir)
}

/** Names a partition across deletions and re-creations of its topic. */
function keyOf(topicId: string, partition: number): string {
  return `${topicId}-${partition}`
}
