import { once } from 'node:events'
import type { Cluster } from '../base/cluster.ts'
import { isPassing } from '../base/failure.ts'
import type { Range } from '../base/fetch.ts'
import { committedOffsets, offsetsIn } from '../base/offsets.ts'
import type { Patience } from '../base/patience.ts'
import { note } from '../base/progress.ts'
import { namesOf } from '../base/topic-names.ts'
import type { Assigned } from './assign.ts'
import { Consumer, type Sink } from './consumer.ts'
import { Member } from './member.ts'
import { rangesOf } from './ranges.ts'

/** At most so much is printed again after a crash. */
const COMMIT_MS = 1_000
/** How often new partitions, and new topics that a pattern matches, are looked for. */
const TOPICS_MS = 30_000

export interface GroupAsked {
  readonly group: string
  /** Topics and patterns. */
  readonly asked: readonly string[]
  /** Where the group has committed nothing. */
  readonly start: 'beginning' | 'end'
  readonly exitAtEnd: boolean
}

/**
 * Prints as a member of a group: what is committed has been printed, so that nothing is lost, but something may come twice
 * when a member dies. Signals, and a reader that goes away, end it as the end of the records does: committed, and out of the group.
 */
export async function consumeAsMember(
  cluster: Cluster,
  patience: Patience,
  sink: Sink,
  asked: GroupAsked,
): Promise<void> {
  const ended = new AbortController()
  const end = (): void => ended.abort()
  process.once('SIGINT', end).once('SIGTERM', end)
  const member = new Member(cluster, asked.group)
  const turns = new Turns(cluster, patience, sink, member, asked)
  try {
    while (!ended.signal.aborted && !turns.isDone) await turns.take(ended.signal)
  } catch (error) {
    // What failed because nobody reads any more is no failure.
    if (!ended.signal.aborted) throw error
  } finally {
    patience.end()
    await member.leave().catch(error => {
      if (!isPassing(error)) throw error
    })
  }
}

/** What a member does from one sharing of the partitions to the next. */
class Turns {
  readonly #cluster: Cluster
  readonly #patience: Patience
  readonly #sink: Sink
  readonly #member: Member
  readonly #asked: GroupAsked
  /** Offsets as they were last committed. */
  #committed = new Map<Range, number>()
  #committedMs = 0
  isDone = false

  constructor(cluster: Cluster, patience: Patience, sink: Sink, member: Member, asked: GroupAsked) {
    this.#cluster = cluster
    this.#patience = patience
    this.#sink = sink
    this.#member = member
    this.#asked = asked
  }

  async take(ended: AbortSignal): Promise<void> {
    const names = await this.#patience.through(() => namesOf(this.#cluster, this.#asked.asked))
    const joining = this.#patience.through(() => this.#member.join(names))
    const assigned = await Promise.race([joining, once(ended, 'abort')])
    if (!(assigned instanceof Map)) return void joining.catch(() => {})
    const ranges = await this.#patience.through(() => this.#rangesOf(assigned))
    this.#patience.goesOn()
    this.#committed = new Map(ranges.map(range => [range, range.offset]))
    const changed = new AbortController()
    const known = await this.#shape()
    const timer = setInterval(async () => {
      if ((await this.#shape().catch(() => known)) !== known) changed.abort()
    }, TOPICS_MS)
    try {
      await this.#read(ranges, AbortSignal.any([ended, this.#member.moved, changed.signal]))
    } finally {
      clearInterval(timer)
    }
    await this.#commit(ranges)
  }

  async #read(ranges: readonly Range[], over: AbortSignal): Promise<void> {
    const printing = this.#sink
    const sink: Sink = {
      take: (range, record) => {
        const isWanted = printing.take(range, record)
        if (!isWanted) this.isDone = true
        return isWanted
      },
      get isFull() {
        return printing.isFull
      },
      flush: async () => {
        await printing.flush()
        if (performance.now() - this.#committedMs > COMMIT_MS) await this.#commit(ranges)
      },
    }
    if (ranges.length === 0 && !this.#asked.exitAtEnd) {
      note(`group ${this.#asked.group}: the other members have all partitions; waits`)
      if (!over.aborted) await once(over, 'abort')
    }
    await new Consumer(this.#cluster, this.#patience, sink).run(ranges, over)
    if (!over.aborted) this.isDone = true
  }

  async #rangesOf(assigned: Assigned): Promise<Range[]> {
    const { group, start, exitAtEnd } = this.#asked
    const committed = await committedOffsets(this.#cluster, group)
    const ofTopics = [...assigned].map(async ([name, partitions]) => {
      const stored = offsetsIn(committed, name)
      const topic = await this.#cluster.topic(name, partitions)
      return rangesOf(this.#cluster, topic, { start, stored, exitAtEnd })
    })
    return (await Promise.all(ofTopics)).flat()
  }

  /** The topics and their numbers of partitions: when that changes, they are to be shared anew. */
  async #shape(): Promise<string> {
    const names = await namesOf(this.#cluster, this.#asked.asked)
    const { topics } = await this.#cluster.metadata(names)
    return topics.map(({ name, partitions }) => `${name} ${partitions.length}`).join()
  }

  /** What has been printed. */
  async #commit(ranges: readonly Range[]): Promise<void> {
    this.#committedMs = performance.now()
    const printed = ranges.filter(range => range.offset !== this.#committed.get(range))
    if (printed.length === 0) return
    const offsets = printed.map(range => ({ ...range }))
    if (!(await this.#patience.through(() => this.#member.commit(offsets)))) {
      note(
        `group ${this.#asked.group}: its partitions are shared anew; some records may come twice`,
      )
      return
    }
    for (const [i, range] of printed.entries()) this.#committed.set(range, offsets[i]!.offset)
  }
}
