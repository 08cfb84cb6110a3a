import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { writeLarge } from '../../lib/cluster-ledger.ts'
import type { PartitionNow, ProcessCluster } from '../../lib/process-cluster.ts'
import { GroupTools } from '../../live/groups/transcript.ts'
import { javaCommand } from '../../live/tools.ts'
import { comparable } from './comparable.ts'

/** What `@` stands for in names of topics. */
const PREFIX = 'steps-'
const VERIFICATION = 'org.apache.kafka.tools.ReplicaVerificationTool'

/** A plan of reassignment: `@m 0 2,3; @m 1 3`. */
function planOf(text: string): object {
  const partitions = text.split('; ').map(one => {
    const [topic, partition, replicas] = one.split(' ')
    return {
      topic: topic!.replace('@', PREFIX),
      partition: Number(partition),
      replicas: replicas === '-' ? [] : replicas!.split(',').map(Number),
    }
  })
  return { version: 1, partitions }
}

/**
 * Carries out what stands behind `$` in the transcript: commands of Kafka's tools, and what happens to the cluster between them:
 *
 *   broker kill|stop|start 3      until @u whole       until @u without 3       until @u on 2,3
 *   write @u 2                    two records of 512 KiB to partition 0
 *   file NAME @m 0 2,3; @m 1 3    {NAME} is a file with this plan from now on
 */
export class Steps {
  readonly #cluster: ProcessCluster
  readonly #tools: GroupTools
  readonly #dir = mkdtempSync(join(tmpdir(), 'odradek-steps-'))
  readonly #files: Record<string, string> = {}

  constructor(cluster: ProcessCluster) {
    this.#cluster = cluster
    const address = cluster.bootstrap
    // Files come to be known as they are made.
    const values = new Proxy(this.#files, {
      get: (files, name: string) => (name === 'address' ? address : files[name]),
    })
    this.#tools = new GroupTools({ address, prefix: PREFIX, values })
  }

  close(): void {
    this.#tools.close()
    rmSync(this.#dir, { recursive: true })
  }

  /** Resolves to what the step has printed, made comparable. */
  async run(step: string): Promise<readonly string[]> {
    const [what, ...words] = step.split(' ')
    if (what === 'broker') await this.#change(words[0]!, Number(words[1]))
    else if (what === 'until') await this.#until(this.#topic(words[0]!), words[1]!, words[2])
    else if (what === 'write')
      await writeLarge(this.#cluster, this.#topic(words[0]!), Number(words[1]))
    else if (what === 'file') this.#file(words[0]!, planOf(words.slice(1).join(' ')))
    else if (what === 'topics') this.#file(words[0]!, this.#topicsOf(words.slice(1)))
    else if (what === 'kafka-replica-verification') return this.#verifyReplicas(words)
    else return comparable(step, await this.#tools.run(step))
    return []
  }

  readonly #topic = (word: string): string => word.replace('@', PREFIX)

  #topicsOf(names: readonly string[]): object {
    return { version: 1, topics: names.map(name => ({ topic: this.#topic(name) })) }
  }

  #file(name: string, content: object): void {
    const path = join(this.#dir, `${name}.json`)
    writeFileSync(path, JSON.stringify(content))
    this.#files[name] = path
  }

  async #change(how: string, id: number): Promise<void> {
    if (how === 'kill') await this.#cluster.broker(id).kill()
    else if (how === 'stop') await this.#cluster.broker(id).stop()
    else await this.#cluster.startBroker(id)
  }

  /** As all brokers that run see it: a tool asks any of them. */
  async #until(topic: string, how: string, ids = ''): Promise<void> {
    const isSo = (one: PartitionNow): boolean => {
      if (how === 'without') return isWithout(one, Number(ids))
      const isWhole = one.isrNodes.length === one.replicaNodes.length && one.leaderId !== -1
      return isWhole && (how === 'whole' || one.replicaNodes.join() === ids)
    }
    for (const { id, broker } of this.#cluster.members) {
      if (!broker!.hasEnded) await this.#cluster.until(topic, all => all.every(isSo), id)
    }
  }

  /** It goes on for ever: until its first report. */
  async #verifyReplicas(words: readonly string[]): Promise<readonly string[]> {
    const [java, ...args] = javaCommand(VERIFICATION)
    const own = words.map(word => word.replaceAll('@', PREFIX))
    const child = spawn(java!, [...args, '--broker-list', this.#cluster.bootstrap, ...own], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(child, 'close')
    const seen: string[] = []
    for await (const line of createInterface({ input: child.stdout! })) {
      seen.push(line.replaceAll(PREFIX, '@'))
      if (line.includes('max lag is')) break
    }
    child.kill('SIGKILL')
    await ended
    return comparable('kafka-replica-verification', seen)
  }
}

/** It leads nothing, and is in sync only where it was the last one. */
const isWithout = ({ leaderId, isrNodes }: PartitionNow, id: number): boolean =>
  leaderId !== id && (!isrNodes.includes(id) || isrNodes.length === 1)
