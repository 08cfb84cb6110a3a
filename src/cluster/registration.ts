import type { Json } from '../metadata/store.ts'
import type { Entry, LeaseId } from '../replication/types.ts'

/**
 * What the folder of a broker was found to be at its start. new: it had no id. clean: stopped in order. killed: the process
 * ended, but the system that it ran on is still the same boot, so that what was written and not flushed is there. recovered:
 * it is not, or nobody knows. live: the process went on, only its lease had ended.
 *
 * What `new` and `recovered` say has to reach the controller. So a broker says `live` only when it has been unfenced once in
 * its life; one that never was must leave neither the mark of a clean stop nor that of this boot; and that a folder is new is kept in `nodes/<id>`.
 */
export type StartKind = 'new' | 'clean' | 'killed' | 'recovered' | 'live'

/** A broker as it has registered itself: `brokers/<id>`, which goes with its lease. */
export interface Registration {
  readonly id: number
  /** The broker epoch: the registration's create_revision. */
  readonly epoch: number
  readonly revision: number
  /** Of the process: another one for each start. */
  readonly incarnation: string
  /** Of the data folder. */
  readonly dir: string
  readonly rack: string | null
  readonly start: StartKind
  /** Partitions that it has and cannot serve, as `<topic id>/<index>`. */
  readonly failed: ReadonlySet<string>
  /** It wants to stop, or to be emptied. */
  readonly draining: boolean
  /** Its disk has had no room for a while: it should not lead. */
  readonly full: boolean
  /** To which the key is bound: `unfenced/<id>` goes with it too. */
  readonly lease: LeaseId
  /** All of it: listeners and features too. */
  readonly value: Json
}

export const BROKERS_PREFIX = 'brokers/'
export const brokerKey = (id: number): string => `${BROKERS_PREFIX}${id}`

export function registrationOf(entry: Entry): Registration {
  const value = entry.value as { readonly [name: string]: unknown }
  return {
    id: Number(entry.key.slice(BROKERS_PREFIX.length)),
    epoch: entry.created,
    revision: entry.revision,
    incarnation: String(value.incarnation ?? ''),
    dir: String(value.dir ?? ''),
    rack: typeof value.rack === 'string' ? value.rack : null,
    start: (value.start as StartKind | undefined) ?? 'clean',
    failed: new Set((value.failed as readonly string[] | undefined) ?? []),
    draining: value.draining === true,
    full: value.full === true,
    lease: String(value.lease ?? ''),
    value: entry.value,
  }
}

/** Which disk has a broker id: `nodes/<id>`, which stays. */
export interface NodeRecord {
  readonly dir: string
  /** new: what the id's former disk had is not struck off yet. */
  readonly state: 'new' | 'member' | 'removed'
}

export const NODES_PREFIX = 'nodes/'
export const nodeKey = (id: number): string => `${NODES_PREFIX}${id}`
