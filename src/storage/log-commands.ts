import { rebuildIndexes } from './closed-segment.ts'
import type { CommandTable } from './command-runner.ts'
import type { LogView } from './commands.ts'
import { cleanable } from './compaction/cleanable.ts'
import { noteCleaned } from './compaction/swap.ts'
import { failureOf } from './failure.ts'
import type { FileSystem } from './fs.ts'
import type { Log, LogConfig } from './log.ts'

/** What the commands that concern single logs need of the store. */
export interface LogAccess {
  files(): FileSystem
  /** ms since the epoch. */
  now(): number
  find(handle: number): Log | undefined
  /** @throws if it is not open here */
  log(handle: number): Log
  /** @throws if it is not open here or offline: after a failure nothing is tried on its files again */
  online(handle: number): Log
  /** A failure takes it offline. */
  guard(handle: number, action: () => void): void
  takeOffline(handle: number, reason: string): void
  /** Why the journal cannot be used any more, or null. */
  journalFailure(): string | null
}

/** The commands that look at single logs or change what is closed of them, and nothing else of the store. */
export function logCommands(
  access: LogAccess,
): Pick<
  CommandTable,
  'configure' | 'producers' | 'rebuildIndexes' | 'cleanable' | 'swapped' | 'compacted'
> {
  return {
    configure: function* ({ handles, config }) {
      for (const handle of handles) {
        const log = access.find(handle)
        if (log !== undefined) access.guard(handle, () => configure(handle, log, config, access))
        yield
      }
      return null
    },
    producers: ({ handle }) => ({
      producers: [...access.log(handle).producers.producers].map(([producerId, p]) => ({
        producerId,
        coordinatorEpoch: p.coordinatorEpoch,
        currentTxnStartOffset: access.log(handle).producers.openedAt(producerId),
        producerEpoch: p.epoch,
        lastSequence: p.batches.at(-1)?.lastSequence ?? -1,
        lastTimestamp: p.lastTimestamp,
      })),
    }),
    rebuildIndexes: ({ handle, base }) => {
      const log = access.online(handle)
      // The active segment's index is still being written: it is closed first.
      if (log.active.baseOffset === base && log.active.size > 0) log.roll()
      const isThere = log.segments.some(s => s.baseOffset === base && s.size > 0)
      if (isThere) rebuildIndexes(access.files(), log, base)
      return null
    },
    cleanable: function* ({ handles }) {
      const logs = []
      const failed = []
      for (const handle of handles) {
        const log = access.find(handle)
        yield
        if (log === undefined || log.offline !== null || log.config.compaction === null) continue
        try {
          const found = cleanable(log, log.config.compaction, access.now())
          if (found !== null) logs.push({ ...found, handle })
        } catch (error) {
          failed.push({ ...failureOf(error), handle })
        }
      }
      return { logs, failed }
    },
    swapped: ({ handle, cleaned }) => {
      const log = access.online(handle)
      if (!log.replaceSegments(cleaned)) {
        throw new Error(`segment ${cleaned.base} stands for segments that are not there`)
      }
      return { views: [viewOf(handle, log)] }
    },
    compacted: ({ handle, cleanedOffset }) => {
      const log = access.online(handle)
      noteCleaned(access.files(), log.dir, cleanedOffset)
      log.cleanedOffset = cleanedOffset
      return null
    },
  }
}

function configure(handle: number, log: Log, config: LogConfig, access: LogAccess): void {
  const wasDurable = log.isDurable
  log.config = config
  if (wasDurable || !log.isDurable || log.offline !== null) return
  // From now on the journal holds what follows: what came before must be on the disk by then.
  access.guard(handle, () => log.flush())
  const failure = access.journalFailure()
  if (failure !== null) access.takeOffline(handle, `journal: ${failure}`)
}

export function viewOf(handle: number, log: Log): LogView {
  return {
    handle,
    logStartOffset: log.logStartOffset,
    nextOffset: log.nextOffset,
    segments: log.segments.map(s => {
      const abortedBytes = s.aborted.bytes - s.aborted.waitingBytes
      return { base: s.baseOffset, size: s.size, version: s.version, abortedBytes }
    }),
    epochs: log.epochs.entries,
    undecided: finiteOrNull(log.producers.firstUndecided),
    highWatermark: finiteOrNull(log.highWatermark),
    offline: log.offline,
  }
}

const finiteOrNull = (offset: number): number | null => (Number.isFinite(offset) ? offset : null)
