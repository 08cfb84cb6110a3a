import type { Steps } from './command-runner.ts'
import type { Commands, LogView } from './commands.ts'
import type { OwnedLog } from './group-commit.ts'
import { viewOf } from './log-commands.ts'
import type { Segment } from './segment.ts'

/** What the commands that take records away need of the store. */
export interface RemovalAccess {
  /** ms since the epoch. */
  now(): number
  /** ms of a clock that only goes forward. */
  monotonic(): number
  /** The log, unless it is not open here or offline. */
  findOnline(handle: number): OwnedLog | undefined
  /** Whether the disk has room for what is not needed to make some. */
  hasRoom(): boolean
  /** Does something to a log's files: a failure takes it offline. */
  guard(owned: OwnedLog, action: () => void): void
  /** Makes the logs' starts durable. @throws if that fails */
  checkpoint(): void
}

/** Segments that a log does not have any more, whose files are still there. */
interface Removal {
  readonly owned: OwnedLog
  readonly removed: Segment[]
}

type Run<N extends keyof Commands> = (
  request: Commands[N]['request'],
) => Steps<Commands[N]['response']>

/** DeleteRecords and retention: both move the starts of logs up, and then remove what lies below. */
export function removalCommands(access: RemovalAccess): {
  readonly [N in 'deleteRecords' | 'retention']: Run<N>
} {
  const { guard } = access
  return {
    deleteRecords: function* ({ items }) {
      const removals: Removal[] = []
      for (const { handle, offset } of items) {
        const owned = access.findOnline(handle)
        if (owned === undefined) continue
        guard(owned, () => {
          // A log must not end below its start after a crash.
          const hasRoom = access.hasRoom()
          owned.log.flush(hasRoom)
          removals.push({ owned, removed: owned.log.deleteRecordsBefore(offset, hasRoom) })
        })
        yield
      }
      yield* removeFiles(removals, access)
      return { views: viewsOf(removals) }
    },
    retention: function* ({ handles }) {
      const removals: Removal[] = []
      for (const handle of handles) {
        const owned = access.findOnline(handle)
        if (owned === undefined) continue
        guard(owned, () => {
          const { log } = owned
          log.producers.expire(access.monotonic() - log.config.producerIdExpirationMs)
          const removed = log.applyRetention(access.now(), access.hasRoom())
          if (removed.length > 0) removals.push({ owned, removed })
        })
        yield
      }
      yield* removeFiles(removals, access)
      return { views: viewsOf(removals) }
    },
  }
}

/**
 * The new starts must be durable before records vanish, or a crash could bring some of them back, or leave a hole. One
 * checkpoint serves all of them.
 */
function* removeFiles(removals: readonly Removal[], access: RemovalAccess): Steps<void> {
  if (removals.length > 0) access.checkpoint()
  for (const { owned, removed } of removals) {
    yield
    if (owned.log.offline === null) access.guard(owned, () => owned.log.removeFiles(removed))
  }
}

const viewsOf = (removals: readonly Removal[]): LogView[] =>
  removals.map(({ owned }) => viewOf(owned.handle, owned.log))
