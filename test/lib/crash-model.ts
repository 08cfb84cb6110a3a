import * as batch from '../../src/protocol/record-batch.ts'
import type { PartitionToOpen } from '../../src/storage/commands.ts'

/** A batch that was acknowledged, or found after a start. */
export interface Kept {
  readonly id: number
  readonly offset: number
  readonly bytes: Buffer
  readonly producer: number
  readonly sequence: number
  /** Whether it must be there after a crash: its topic was flushed before it was acknowledged, or since. */
  readonly isPromised: boolean
}

/** What one partition was told and what it promised. */
export class Model {
  open: PartitionToOpen
  /** Since the last start something was acknowledged that need not be there after a crash. */
  isLoose: boolean
  /** Acknowledged, or found after a recovery and so served. */
  kept: Kept[] = []
  /** Submitted and not answered when the process died, or refused: may be found or not. In order of submission. */
  maybe: number[] = []
  readonly submitted = new Map<number, Buffer>()
  /** The log's start: acknowledged, and asked for at most. */
  start = 0
  startMax = 0
  end = 0
  /** The next sequence of each producer; the ids begin anew when what was lost cannot be known. */
  readonly sequences = new Map<number, number>()
  readonly acknowledged = new Map<number, number>()
  firstProducer = 100
  /** It has a leader elsewhere, since the last start. */
  follows = false

  constructor(open: PartitionToOpen) {
    this.open = open
    this.isLoose = !this.isDurable
  }

  get isDurable(): boolean {
    return this.open.config.flushMessages === 1
  }

  /** All that is there is on the disk, or will be before anything is acknowledged. */
  promiseAll(): void {
    this.kept = this.kept.map(kept => ({ ...kept, isPromised: true }))
  }

  noteSequence({ producer, sequence, bytes }: Kept): void {
    this.acknowledged.set(producer, sequence + batch.lastOffsetDelta(bytes) + 1)
  }

  copy(): Model {
    const copy = new Model(this.open)
    copy.isLoose = this.isLoose
    copy.kept = [...this.kept]
    copy.maybe = [...this.maybe]
    for (const [id, bytes] of this.submitted) copy.submitted.set(id, bytes)
    copy.start = this.start
    copy.startMax = this.startMax
    copy.end = this.end
    for (const [producer, next] of this.sequences) copy.sequences.set(producer, next)
    for (const [producer, next] of this.acknowledged) copy.acknowledged.set(producer, next)
    copy.firstProducer = this.firstProducer
    copy.follows = this.follows
    return copy
  }
}

/** The state that outlives a crash: the metadata store's topics, and what was promised. */
export interface World {
  models: Model[]
  /** Ids of deleted topics whose folders may be there: the tombstones. */
  deleted: string[]
  clean: boolean
  workers: number
  nextId: number
  now: number
}

export const copyWorld = (w: World): World => ({
  ...w,
  models: w.models.map(m => m.copy()),
  deleted: [...w.deleted],
})
