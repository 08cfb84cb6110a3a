import type { CommandTable } from './command-runner.ts'
import type { LogView, RoleChange } from './commands.ts'
import { CorruptLog } from './corrupt-log.ts'
import type { FileSystem } from './fs.ts'
import type { OwnedLog } from './group-commit.ts'
import type { Log } from './log.ts'
import { viewOf } from './log-commands.ts'
import { type Cut, findCut, startAnew, truncate } from './truncation.ts'

/** What the commands that say what partitions do need of the store. */
export interface RoleAccess {
  files(): FileSystem
  /** The newest group of the worker's journal. */
  journalSequence(): number
  /** The log, unless it is not open here or offline. */
  findOnline(handle: number): OwnedLog | undefined
  /** Does something to a log's files: a failure takes it offline. */
  guard(owned: OwnedLog, action: () => void): void
  /** Makes durable what is known of the logs. @throws if that fails */
  checkpoint(): void
}

/** Who leads, who follows, and what followers drop to have what their leader has. */
export function roleCommands(
  access: RoleAccess,
): Pick<CommandTable, 'lead' | 'follow' | 'truncate' | 'startAnew' | 'highWatermarks'> {
  return {
    lead: ({ items }) => ({ views: setRoles(items, true, access) }),
    follow: ({ items }) => ({ views: setRoles(items, false, access) }),
    truncate: function* ({ items }) {
      const cuts: PreparedCut[] = []
      const views: LogView[] = []
      const known = items.map(item => ({ ...item, owned: followerOf(item, access) }))
      for (const { owned, offset } of known) {
        if (owned === null) continue
        yield
        access.guard(owned, () => {
          const cut = prepareCut(owned, offset, access)
          if (cut !== null) cuts.push({ owned, cut })
        })
      }
      if (cuts.length > 0) saveCuts(cuts, access)
      for (const { owned, cut } of cuts) {
        yield
        if (owned.log.offline !== null) continue
        access.guard(owned, () => {
          owned.log = truncate(access.files(), owned.log, cut)
        })
      }
      for (const { owned } of known) {
        if (owned !== null) views.push(viewOf(owned.handle, owned.log))
      }
      return { views }
    },
    startAnew: item => {
      const owned = followerOf(item, access)
      if (owned === null) return { views: [] }
      access.guard(owned, () => beginAnew(owned, item.offset, access))
      return { views: [viewOf(owned.handle, owned.log)] }
    },
    highWatermarks: ({ items }) => {
      for (const { handle, offset } of items) {
        const owned = access.findOnline(handle)
        if (owned !== undefined) owned.log.highWatermark = offset
      }
      return null
    },
  }
}

function setRoles(items: readonly RoleChange[], leads: boolean, access: RoleAccess): LogView[] {
  const views: LogView[] = []
  for (const { handle, epoch, highWatermark } of items) {
    const owned = access.findOnline(handle)
    if (owned === undefined) continue
    const { log } = owned
    access.guard(owned, () => {
      // Epochs in which nothing was appended here: of these the leader may know better.
      log.epochs.truncateFromEnd(log.nextOffset)
      checkEpochs(log, epoch)
      log.role = { leads, epoch }
      log.highWatermark = highWatermark
      // Before the first append of it, so that who asks where it begins is told (UnifiedLog.assignEpochStartOffset).
      if (leads) log.epochs.note(epoch, log.nextOffset)
    })
    views.push(viewOf(handle, log))
  }
  return views
}

/**
 * By the epochs of batches logs are compared, and cut, and no checksum covers them: one that cannot be would have others drop what
 * is committed, or keep this one from following.
 * @throws CorruptLog
 */
function checkEpochs({ name, epochs }: Log, epoch: number): void {
  const last = epochs.entries.at(-1)
  if (last !== undefined && last.epoch > epoch) {
    const why = `leader epoch ${last.epoch}, and the partition is in ${epoch}`
    throw new CorruptLog(`${name}: the batch at offset ${last.startOffset} is of ${why}`)
  }
  if (epochs.misplacedAt !== null) {
    throw new CorruptLog(
      `${name}: the batch at offset ${epochs.misplacedAt} is of another leader epoch than those around it`,
    )
  }
}

/** The partition, if it still follows in that epoch. */
function followerOf(
  { handle, epoch }: { readonly handle: number; readonly epoch: number },
  access: RoleAccess,
): OwnedLog | null {
  const owned = access.findOnline(handle)
  const role = owned?.log.role
  return role != null && !role.leads && role.epoch === epoch ? owned! : null
}

interface PreparedCut {
  readonly owned: OwnedLog
  readonly cut: Cut
}

function saveCuts(cuts: readonly PreparedCut[], access: RoleAccess): void {
  try {
    access.checkpoint()
  } catch (error) {
    for (const { owned } of cuts) owned.log.abandonCut()
    throw error
  }
}

/** From here on every checkpoint says that the log may end at the cut. */
function prepareCut(owned: OwnedLog, offset: number, access: RoleAccess): Cut | null {
  const { log } = owned
  log.flush(false)
  const cut = findCut(access.files(), log, offset)
  if (cut === null) return null
  log.beginCut(cut.end)
  owned.flushedSequence = access.journalSequence()
  return cut
}

function beginAnew(owned: OwnedLog, offset: number, access: RoleAccess): void {
  const cut = prepareCut(owned, offset, access)
  if (cut !== null) {
    saveCuts([{ owned, cut }], access)
    owned.log = truncate(access.files(), owned.log, cut)
  }
  const { log } = owned
  if (offset < log.logStartOffset) throw new Error(`${log.name} starts at ${log.logStartOffset}`)
  log.logStartOffset = offset
  owned.flushedSequence = access.journalSequence()
  access.checkpoint()
  owned.log = startAnew(access.files(), log, offset)
}
