import { join } from 'node:path'
import { unequal } from '../crash/cluster-cut/check.ts'
import { Random } from '../lib/random.ts'
import { check, type Verdict } from './check.ts'
import { Workers } from './clients/workers.ts'
import { Nemesis } from './nemesis/nemesis.ts'
import { scheduleOf } from './nemesis/schedule.ts'
import type { RunOptions } from './options.ts'
import { FOLDER_PATTERN, Keys, PARTITIONS, placeOf } from './workload/keys.ts'
import type { Shared } from './workload/process.ts'
import { Recorder } from './workload/recorder.ts'
import { Thread } from './workload/thread.ts'
import { JepsenCluster } from './world/cluster.ts'
import type { Network } from './world/network.ts'

/** A broker that does not answer by then is not asked who leads. */
const ASK_MS_MAX = 1_000
const HISTORY = 'history.jsonl'

export interface RunResult {
  readonly verdict: Verdict
  /** What else is wrong: replicas that differ, brokers that have ended or found a bug, records that nobody could read. */
  readonly wrong: readonly string[]
  readonly faults: Readonly<Record<string, number>>
  readonly errors: Readonly<Record<string, number>>
  readonly topics: number
  readonly failedStarts: readonly string[]
}

/** One run, for a process in the namespace of the clients; the history is in the folder at the end. */
export class JepsenRun {
  readonly #options: RunOptions
  readonly #network: Network
  readonly #folder: string
  readonly #random: Random
  readonly #shared: Shared
  readonly #started = performance.now()

  constructor(options: RunOptions, network: Network, folder: string) {
    this.#options = options
    this.#network = network
    this.#folder = folder
    this.#random = new Random(options.seed)
    let processes = 0
    this.#shared = {
      keys: new Keys(this.#random),
      recorder: new Recorder(),
      group: 'jepsen',
      errors: new Map(),
      newProcess: () => processes++,
    }
  }

  async carryOut(root?: string): Promise<RunResult> {
    const { faults, clients } = this.#options
    await using cluster = await JepsenCluster.start({
      network: this.#network,
      folder: this.#folder,
      hasClocks: faults.includes('clock'),
      ...(root !== undefined && { root }),
    })
    const workers = clients.map(name => new Workers(name))
    const threads = this.#threads(cluster, workers)
    const nemesis = this.#nemesis(cluster)
    const schedule = scheduleOf(this.#options.seed, this.#options.seconds * 1_000, faults)
    const isOver = AbortSignal.timeout(this.#options.seconds * 1_000)
    await Promise.all([
      nemesis.follow(schedule, isOver),
      ...threads.map(thread => thread.run(isOver)),
    ])
    const wrong = await this.#end(cluster, nemesis, threads)
    for (const one of workers) one.end()
    const { recorder, errors, keys } = this.#shared
    recorder.write(join(this.#folder, HISTORY))
    return {
      verdict: check(recorder.events),
      wrong: [...wrong, ...cluster.complaints()],
      faults: nemesis.counts,
      errors: Object.fromEntries(errors),
      topics: Math.ceil(keys.count / PARTITIONS),
      failedStarts: cluster.failedStarts,
    }
  }

  #threads(cluster: JepsenCluster, workers: readonly Workers[]): Thread[] {
    const { threads, rate, mode } = this.#options
    const nodes = cluster.bootstrap.split(',')
    return Array.from({ length: threads }, (_, i) => {
      const random = new Random(this.#random.below(2 ** 31))
      return new Thread(this.#shared, random, {
        workers: workers[i % workers.length]!,
        bootstrap: nodes[i % nodes.length]!,
        mode,
        restMs: (1_000 * threads) / rate,
      })
    })
  }

  #nemesis(cluster: JepsenCluster): Nemesis {
    return new Nemesis({
      cluster,
      network: this.#network,
      leader: () => this.#leader(cluster),
      folders: FOLDER_PATTERN,
      victim: 1 + (this.#options.seed % 3),
      log: line => this.#log(line),
    })
  }

  #log(line: string): void {
    const seconds = ((performance.now() - this.#started) / 1_000).toFixed(1)
    console.log(`${seconds.padStart(7)} s  ${line}`)
  }

  /** Of the hottest key, as whoever answers first says; of those who cannot tell, the first broker. */
  async #leader(cluster: JepsenCluster): Promise<number> {
    const [topic, partition] = placeOf(this.#shared.keys.hottest)
    const asked = cluster.members.map(async ({ id }) => {
      const { leaderId } = (await cluster.partitions(topic, id))[partition]!
      if (leaderId === -1) throw new Error('there is none')
      return leaderId
    })
    const late = new Promise<number>(resolve => setTimeout(() => resolve(1), ASK_MS_MAX).unref())
    return Promise.race([Promise.any(asked), late]).catch(() => 1)
  }

  /** Heals, reads everything, and compares replicas. @returns what is wrong */
  async #end(cluster: JepsenCluster, nemesis: Nemesis, threads: Thread[]): Promise<string[]> {
    await nemesis.healAll()
    const ends = this.#shared.keys.ends()
    const topics = [...new Set([...ends.keys()].map(key => placeOf(key)[0]))]
    const wrong = await this.#untilWhole(cluster, topics)
    this.#log(`${topics.length} topics are healed; reading ${ends.size} keys`)
    const haveRead = await Promise.all(threads.map(thread => thread.readAll(ends)))
    const late = haveRead.filter(isDone => !isDone).length
    if (late > 0) wrong.push(`${late} readers did not come to the ends of all keys`)
    for (const topic of topics) wrong.push(...(await unequal(cluster, topic)))
    return wrong
  }

  /** What is known of partitions then stands in the history, as evidence. @returns topics that do not become whole */
  async #untilWhole(cluster: JepsenCluster, topics: readonly string[]): Promise<string[]> {
    const wrong: string[] = []
    const partitions: Record<string, unknown> = {}
    const op = { process: this.#shared.newProcess(), f: 'debug' }
    this.#shared.recorder.note({ ...op, type: 'invoke', value: null })
    for (const topic of topics) {
      try {
        partitions[topic] = await cluster.untilWhole(topic)
      } catch (error) {
        wrong.push(`${topic} does not become whole: ${(error as Error).message}`)
      }
    }
    this.#shared.recorder.note({ ...op, type: 'ok', value: partitions })
    return wrong
  }
}
