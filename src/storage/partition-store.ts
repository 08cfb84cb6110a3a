import { join } from 'node:path'
import {
  ENTRY_HEADER_BYTES,
  ENTRY_PAYLOAD,
  ENTRY_TOKEN,
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
  PartitionToOpen,
} from './commands.ts'
import { CompletionWriter } from './completion-writer.ts'
import { clearWay, removeLeftovers, removePartitions, sweep } from './folders.ts'
import type { FileSystem } from './fs.ts'
import { GroupCommit, type OwnedLog } from './group-commit.ts'
import { Journal, journalPath } from './journal.ts'
import { keyOf, type LeftBehind, NOWHERE, readLeftBehind } from './left-behind.ts'
import type { LogConfig } from './log.ts'
import { logCommands, viewOf } from './log-commands.ts'
import { OpenFiles } from './open-files.ts'
import { isOfOtherTopic } from './partition-metadata.ts'
import { recover } from './recovery.ts'
import type { Segment } from './segment.ts'
import { addUnreplayed, keepEntriesOf } from './unreplayed.ts'
import { type SafePoint, writeWorkerCheckpoint } from './worker-checkpoint.ts'

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
  /** Files of logs that may be open at once. */
  readonly openLogsMax: number
  /** Called when the completion ring is full: returns when the main thread may have made room. */
  readonly waitForSpace: () => void
}

/** Idle work and flush.ms are looked at this often, in ms. */
const TICK_MS = 100
/** Under load the checkpoint is written this often, in ms, so that a start has little to verify. */
const CHECKPOINT_MS = 10_000
/** The share of a journal file after whose use everything that the other file protects is flushed. */
const FLUSHED_AHEAD_AT = 0.75

/** A partition that could not be opened. What is known of it is kept for the next start. */
interface UnopenedLog {
  readonly key: string
  readonly dir: string
  readonly safe: SafePoint
}

/**
 * Everything one partition worker owns: the logs, the journal, the group commit and the commands. It has no thread of
 * its own: the worker calls `turn` while there is work and `tick` when there is none, tests call them inline.
 */
export class PartitionStore {
  readonly #o: PartitionStoreOptions
  readonly #logs = new Map<number, OwnedLog>()
  readonly #unopened = new Map<number, UnopenedLog>()
  readonly #journalDir: string
  readonly #out: CompletionWriter
  readonly #group: GroupCommit
  readonly #journal: Journal
  readonly #incarnation: number
  /** What the last run left, until all is open. */
  readonly #left: LeftBehind
  readonly #notes: string[] = []
  readonly #openLogs: OpenFiles<OwnedLog>
  /** Logs that have entries in a journal file and are not flushed since; by journal file. */
  readonly #protected: [Set<OwnedLog>, Set<OwnedLog>] = [new Set(), new Set()]
  /** Of the file that will be overwritten next: how many it protected when the current one was begun. */
  #protectedAtTurn = 0
  #journalFailure: string | null = null
  #checkpointStale = false
  /** Of this incarnation: what the checkpoint says. */
  #flushedSequence = 0
  #lastTick = 0
  #lastCheckpoint = 0
  #closed = false
  /** All partitions of all workers are open: before, the journals may hold what nobody has replayed. */
  #isReady = false

  constructor(options: PartitionStoreOptions) {
    this.#o = options
    const { files, dataDir, worker } = options
    this.#journalDir = join(dataDir, 'journal', String(worker))
    this.#out = new CompletionWriter(options.completions, options.waitForSpace)
    this.#left = readLeftBehind(files, dataDir, worker, options.clean)
    this.#notes.push(...this.#left.notes)
    this.#incarnation = this.#left.incarnation + 1
    this.#journal = new Journal(
      files,
      this.#journalDir,
      options.journalFileBytes,
      this.#incarnation,
    )
    this.#openLogs = new OpenFiles<OwnedLog>(options.openLogsMax)
    this.#group = new GroupCommit({
      requests: options.requests,
      logs: this.#logs,
      journal: this.#journal,
      now: options.now,
      bypassBytes: options.bypassBytes,
      journalFileBytes: options.journalFileBytes,
      beforeTurn: () => this.#beforeTurn(),
      onWritten: owned => this.#openLogs.touch(owned),
      onJournalled: owned => this.#protected[this.#journal.current].add(owned),
      journalFailure: () => this.#journalFailure,
      onFailure: (owned, error) => this.#takeOffline(owned, error),
      onJournalFailure: error => this.#failJournal(error),
    })
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /** Handles one group of appends and at most one command. @returns false if there was nothing to do. */
  turn(): boolean {
    const { requests } = this.#o
    this.#flushAhead()
    const command = this.#group.gather()
    if (this.#group.isEmpty && command === -1) return false
    if (!this.#group.isEmpty) {
      this.#group.commit(at => this.#out.complete(requests, at))
      this.#checkpointStale = true
    }
    if (command !== -1) this.#run(command)
    requests.release()
    for (const owned of this.#openLogs.excess()) this.#guard(owned, () => owned.log.closeFile())
    this.#out.publish()
    const now = this.#o.now()
    if (now - this.#lastTick >= TICK_MS) this.#flushOverdue()
    if (now - this.#lastCheckpoint >= CHECKPOINT_MS) this.#safely(() => this.#checkpointIfStale())
    return true
  }

  /** Work for idle moments: flush.ms, flushing what the journal protects, room in the journal. */
  tick(): void {
    if (this.#closed) return
    this.#flushOverdue()
    this.#safely(() => {
      for (const file of [0, 1] as const) this.#flushProtected(file)
      this.#checkpointIfStale()
      if (this.#journal.isUsed) this.#journal.preallocateSome()
    })
    this.#out.publish()
  }

  /** Work on the journal and its checkpoint: a failure takes every partition offline that needs them. */
  #safely(action: () => void): void {
    if (this.#journalFailure !== null) return
    try {
      action()
    } catch (error) {
      this.#failJournal(error)
    }
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

  /**
   * Some of the next turn's flushes, in step with the journal's filling, so that the turn itself finds little to do.
   * Called between groups, when the last one has been reported.
   */
  #flushAhead(): void {
    const ahead = this.#protected[this.#journal.current === 0 ? 1 : 0]
    const share = Math.max(0, 1 - this.#journal.fill / FLUSHED_AHEAD_AT)
    const allowed = Math.floor(this.#protectedAtTurn * share)
    for (const owned of ahead) {
      if (ahead.size <= allowed) return
      if (owned.log.offline === null) this.#guard(owned, () => owned.log.flush())
      if (owned.log.offline === null) ahead.delete(owned)
    }
  }

  #takeOffline(owned: OwnedLog, error: unknown): void {
    if (owned.log.offline !== null) return
    const reason = error instanceof Error ? error.message : String(error)
    owned.log.fail(reason)
    this.#out.send(KIND_EVENT, 0, { event: 'offline', handle: owned.handle, reason })
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

  /** The other file is about to be overwritten: what it protects is flushed, and the checkpoint says so. */
  #beforeTurn(): void {
    const { current } = this.#journal
    this.#flushProtected(current === 0 ? 1 : 0)
    this.#protectedAtTurn = this.#protected[current].size
    this.#checkpoint(this.#incarnation - 1, this.#journal.sequenceBefore)
  }

  /** Flushes the logs that a journal file protects; the entries of those that have failed are put aside for the next start. */
  #flushProtected(file: 0 | 1): void {
    const failed: OwnedLog[] = []
    for (const owned of this.#protected[file]) {
      if (owned.log.offline === null) this.#guard(owned, () => owned.log.flush())
      if (owned.log.offline !== null) failed.push(owned)
    }
    if (failed.length > 0) {
      const path = journalPath(this.#journalDir, file)
      keepEntriesOf(this.#o.files, path, this.#incarnation, failed)
    }
    this.#protected[file].clear()
  }

  /** At an idle moment or between groups: all that is journalled is written to the segments. */
  #checkpointIfStale(): void {
    if (!this.#checkpointStale) return
    const { current, sequence, sequenceBefore } = this.#journal
    const isOtherFlushed = this.#protected[current === 0 ? 1 : 0].size === 0
    const isFlushed = isOtherFlushed && this.#protected[current].size === 0
    const flushedOther = isOtherFlushed ? sequenceBefore : this.#flushedSequence
    this.#checkpoint(this.#incarnation - 1, isFlushed ? sequence : flushedOther)
  }

  /** Writes what is flushed: journal groups up to the incarnation, and of the next one up to the sequence, count no more. */
  #checkpoint(
    flushedIncarnation: number,
    flushedSequence: number,
    others: Iterable<readonly [string, SafePoint]> = [],
  ): void {
    const partitions: Record<string, SafePoint> = Object.fromEntries(others)
    for (const { key, safe } of this.#unopened.values()) partitions[key] = safe
    for (const { key, log } of this.#logs.values()) {
      const { logStartOffset, recoveryPoint, scanFrom } = log
      if (log.nextOffset > 0) partitions[key] = { logStartOffset, recoveryPoint, scanFrom }
    }
    writeWorkerCheckpoint(this.#o.files, this.#journalDir, {
      flushedIncarnation,
      flushedSequence,
      partitions,
    })
    this.#flushedSequence = flushedSequence
    this.#checkpointStale = false
    this.#lastCheckpoint = this.#o.now()
  }

  /** Of what only the logs know, when nothing of the journal has been flushed. */
  #checkpointLogs(): void {
    this.#safely(() => this.#checkpoint(this.#incarnation - 1, this.#flushedSequence))
    if (this.#journalFailure !== null) throw new Error(`journal: ${this.#journalFailure}`)
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
    this.#out.send(KIND_COMMAND, token, answer)
  }

  /** How to run each command. One that throws on a partition's files takes that partition offline. */
  readonly #commands: {
    [N in CommandName]: (request: Commands[N]['request']) => Commands[N]['response']
  } = {
    ...logCommands({
      files: () => this.#o.files,
      now: () => this.#o.now(),
      find: handle => this.#logs.get(handle)?.log,
      log: handle => this.#owned(handle).log,
      online: handle => this.#online(handle).log,
    }),
    open: ({ partitions, recovering, deleted }) => {
      const unflushed: OwnedLog[] = []
      const ids = new Set(deleted)
      let views = partitions.map(p => this.#open(p, recovering, ids, unflushed))
      // All at once: the first flush takes most of the others' work with it.
      if (unflushed.length > 0) this.#o.files.fsyncDir(this.#o.dataDir)
      for (const owned of unflushed) {
        this.#guard(owned, () => this.#o.files.fsyncDir(owned.log.dir))
      }
      views = views.map(view => {
        const log = this.#logs.get(view.handle)?.log
        return log === undefined ? view : viewOf(view.handle, log)
      })
      const notes = this.#notes.splice(0)
      return { views, notes }
    },
    sweep: ({ folders, deleted }) => {
      const known = { deleted: new Set(deleted), journalled: this.#left.journalled }
      return { notes: sweep(this.#o.files, this.#o.dataDir, folders, known) }
    },
    ready: ({ workers }) => {
      this.#isReady = true
      // Other workers may not have written their checkpoints yet: nothing that was known may be lost in between.
      this.#checkpoint(this.#incarnation - 1, 0, this.#left.safePoints)
      this.#left.safePoints.clear()
      this.#left.journalled.clear()
      if (this.#o.worker === 0) removeLeftovers(this.#o.files, this.#o.dataDir, workers)
      return null
    },
    configure: ({ handles, config }) => {
      for (const handle of handles) this.#configure(handle, config)
      return null
    },
    deleteRecords: ({ handle, offset }) => {
      const { log } = this.#online(handle)
      // A log must not end below its start after a crash.
      log.flush()
      const removed = log.deleteRecordsBefore(offset)
      // The new start must be durable before records vanish, or a crash could bring some of them back.
      this.#checkpointLogs()
      log.removeFiles(removed)
      return viewOf(handle, log)
    },
    delete: ({ handles }) => {
      const dirs = handles.map(handle => this.#forget(handle)).filter(dir => dir !== null)
      if (dirs.length > 0) this.#checkpointStale = true
      return removePartitions(this.#o.files, this.#o.dataDir, dirs)
    },
    retention: ({ handles }) => {
      const removals: { owned: OwnedLog; removed: Segment[] }[] = []
      for (const handle of handles) {
        const owned = this.#logs.get(handle)
        if (owned === undefined || owned.log.offline !== null) continue
        this.#guard(owned, () => {
          const { log } = owned
          log.producers.expire(this.#o.now() - log.config.producerIdExpirationMs)
          const removed = log.applyRetention(this.#o.now())
          if (removed.length > 0) removals.push({ owned, removed })
        })
      }
      // As for deleteRecords: a crash amid the removals must not leave a hole.
      if (removals.length > 0) this.#checkpointLogs()
      for (const { owned, removed } of removals) {
        this.#guard(owned, () => owned.log.removeFiles(removed))
      }
      return { views: removals.map(({ owned }) => viewOf(owned.handle, owned.log)) }
    },
    settle: ({ handle }) => {
      this.#online(handle)
      this.#checkpointLogs()
      return null
    },
    giveUp: ({ handle, reason }) => {
      this.#takeOffline(this.#owned(handle), reason)
      return null
    },
    close: () => this.#close(),
  }

  #owned(handle: number): OwnedLog {
    const owned = this.#logs.get(handle)
    if (owned === undefined) throw new Error(`partition ${handle} is not open here`)
    return owned
  }

  /** Its files may be touched: after a failure nothing is tried on them again. */
  #online(handle: number): OwnedLog {
    const owned = this.#owned(handle)
    if (owned.log.offline !== null) throw new Error(`offline: ${owned.log.offline}`)
    return owned
  }

  #configure(handle: number, config: LogConfig): void {
    const owned = this.#logs.get(handle)
    if (owned === undefined) return
    const { log } = owned
    const wasDurable = log.isDurable
    log.config = config
    if (wasDurable || !log.isDurable || log.offline !== null) return
    // From now on the journal holds what follows: what came before must be on the disk by then.
    this.#guard(owned, () => log.flush())
    if (this.#journalFailure !== null) this.#takeOffline(owned, `journal: ${this.#journalFailure}`)
  }

  /** Opens a partition: at the start of the broker with recovery, later as a new and empty one. */
  #open(
    p: PartitionToOpen,
    recovering: boolean,
    deleted: ReadonlySet<string>,
    unflushed: OwnedLog[],
  ): LogView {
    const { files, dataDir, clean } = this.#o
    const { handle, partition } = p
    const key = keyOf(p.topicId, p.partition)
    const safe = this.#left.safePoints.get(key) ?? NOWHERE
    const journal = this.#left.journalled.get(key) ?? []
    const dir = join(dataDir, p.name)
    try {
      const isKnown = this.#left.safePoints.has(key) || journal.length > 0
      if (!recovering || (!isKnown && isOfOtherTopic(files, dir, p.topicId))) {
        const { journalled } = this.#left
        const cleared = clearWay(files, dir, { deleted, journalled })
        if (cleared !== null) this.#notes.push(cleared)
      }
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
      const topicId = Buffer.from(p.topicId, 'base64url')
      const owned: OwnedLog = { log, key, handle, partition, topicId, groupBytes: 0 }
      this.#logs.set(handle, owned)
      if (isNew) this.#openLogs.touch(owned)
      // After a kill even names that are there may not be on the disk.
      if (isNew || !clean) unflushed.push(owned)
      if (this.#journalFailure !== null && log.isDurable) {
        this.#takeOffline(owned, `journal: ${this.#journalFailure}`)
      }
      return viewOf(handle, log)
    } catch (error) {
      const offline = error instanceof Error ? error.message : String(error)
      addUnreplayed(files, dir, journal)
      if (journal.length > 0) this.#notes.push(`${dir}: ${journal.length} journal entries are kept`)
      this.#unopened.set(handle, { key, dir, safe })
      return { handle, logStartOffset: 0, nextOffset: 0, segments: [], epochs: [], offline }
    }
  }

  /** @returns the partition's folder, if it has one here */
  #forget(handle: number): string | null {
    const owned = this.#logs.get(handle)
    const dir = owned?.log.dir ?? this.#unopened.get(handle)?.dir ?? null
    this.#logs.delete(handle)
    this.#unopened.delete(handle)
    if (owned !== undefined) {
      for (const set of this.#protected) set.delete(owned)
      this.#openLogs.forget(owned)
      for (const segment of owned.log.segments) this.#guard(owned, () => segment.close())
    }
    return dir
  }

  #close(): { clean: boolean } {
    let clean = this.#isReady && this.#journalFailure === null && this.#unopened.size === 0
    for (const owned of this.#logs.values()) {
      this.#guard(owned, () => owned.log.close())
      if (owned.log.offline !== null) clean = false
    }
    if (clean) this.#checkpoint(this.#incarnation, 0)
    this.#journal.close()
    this.#closed = true
    return { clean }
  }
}
