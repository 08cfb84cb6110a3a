import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ProcessCluster } from '../../lib/process-cluster.ts'
import {
  type Entry,
  formatTranscript,
  parseTranscript,
  type Section,
} from '../../live/groups/transcript.ts'
import { Steps } from './steps.ts'

/** What Kafka 4.3.1's tools print about three nodes of Kafka 4.3.1, and what happens to these in between (steps.ts). */
const KAFKA = join(import.meta.dirname, 'kafka.txt')
/** What they print about ours where that is something else on purpose: below the reason. */
const ON_PURPOSE = join(import.meta.dirname, 'on-purpose.txt')

export const kafkaTranscript = (): Section[] => parseTranscript(readFileSync(KAFKA, 'utf8'))

/** Runs the steps of the transcript on three nodes of Kafka, and keeps what is printed. */
export async function recordKafka(cluster: ProcessCluster): Promise<void> {
  const steps = new Steps(cluster)
  const recorded: Section[] = []
  try {
    for (const { title, entries } of kafkaTranscript()) {
      const seen: Section = { title, entries: [] }
      for (const { command } of entries) {
        seen.entries.push({ command, output: await steps.run(command) })
      }
      recorded.push(seen)
    }
    writeFileSync(KAFKA, formatTranscript(recorded))
  } finally {
    steps.close()
  }
}

/** What is printed about ours instead of Kafka's lines, and may be; each of them has to be seen. */
export class OnPurpose {
  readonly #all = parseTranscript(readFileSync(ON_PURPOSE, 'utf8')).flatMap(
    ({ entries }) => entries,
  )
  readonly #unseen = new Set<Entry>(this.#all)

  has(command: string, lines: readonly string[]): boolean {
    const found = this.#all.find(one => one.command === command && isSame(one.output, lines))
    if (found !== undefined) this.#unseen.delete(found)
    return found !== undefined
  }

  /** Commands of those that were not met with. */
  get unseen(): string[] {
    return [...this.#unseen].map(({ command }) => command)
  }
}

export const isSame = (a: readonly string[], b: readonly string[]): boolean =>
  a.join('\n') === b.join('\n')
