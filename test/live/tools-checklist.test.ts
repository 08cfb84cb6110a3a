import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { GroupBroker } from './groups/broker.ts'
import {
  formatTranscript,
  GroupTools,
  outcome,
  parseTranscript,
  type Section,
} from './groups/transcript.ts'

/**
 * What Kafka 4.3.1's tools print about a broker of Kafka 4.3.1 with node.id 1, in order; see transcript.ts for what is left
 * out. RECORD=1 with KAFKA_ADDRESS (see broker.ts) writes the file anew: look at the difference.
 */
const EXPECTED = join(import.meta.dirname, 'tools-checklist.txt')

const test = suite("Kafka's tools, as on Kafka 4.3.1")
const prefix = `list-${Date.now().toString(36)}-`
const recorded: Section[] = []
let broker: GroupBroker
let tools: GroupTools
let work: string

test.before(async () => {
  broker = await GroupBroker.start()
  work = mkdtempSync(join(tmpdir(), 'odradek-tools-'))
  const topic = `${prefix}one`
  const assigned = (replicas: number[]) => ({
    version: 1,
    partitions: [{ topic, partition: 0, replicas }],
  })
  const values = {
    move: json('move', { version: 1, topics: [{ topic }] }),
    same: json('same', assigned([1])),
    elsewhere: json('elsewhere', assigned([7])),
  }
  tools = new GroupTools({ address: broker.address, prefix, values })
})
test.after(async () => {
  tools.close()
  await broker.close()
  rmSync(work, { recursive: true })
  if (process.env.RECORD) writeFileSync(EXPECTED, formatTranscript(recorded))
})

function json(name: string, content: object): string {
  const path = join(work, `${name}.json`)
  writeFileSync(path, JSON.stringify(content))
  return path
}

/** Not the min.insync.replicas that Kafka sets on a new cluster by itself (KIP-966). */
const isKafkasOwn = (line: string): boolean => line.startsWith('min.insync.replicas=1 sensitive')
const compared = (line: string): string =>
  outcome(line)
    .replace(/min\.insync\.replicas=1,?/, '')
    .trimEnd()

for (const { title, entries } of parseTranscript(readFileSync(EXPECTED, 'utf8'))) {
  test(title, async () => {
    const seen: Section = { title, entries: [] }
    recorded.push(seen)
    for (const { command, output } of entries) {
      const lines = (await tools.run(command)).filter(line => !isKafkasOwn(line)).map(compared)
      seen.entries.push({ command, output: lines })
      if (!process.env.RECORD) assert.equal(lines, output, command)
    }
  })
}

test.run()
