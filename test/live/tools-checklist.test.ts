import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { GroupBroker } from './groups/broker.ts'
import { formatTranscript, GroupTools, parseTranscript, type Section } from './groups/transcript.ts'

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

/**
 * What a tool's output says in the end: which kind of error it was, not in which words; not what differs from one broker to the
 * next; and not the min.insync.replicas that Kafka sets on a new cluster by itself (KIP-966).
 */
function outcome(line: string): string {
  return line
    .replace(/((?:Exception|command) ?:) (?!org\.apache).*/, '$1 ...')
    .replace(/--bootstrap-server \S+/, '--bootstrap-server BROKER')
    .replace(/TopicId: \S+/, 'TopicId: ID')
    .replace(/"log_dirs":\["[^"]*"\]/g, '"log_dirs":[DIR]')
    .replace(/(?<=127\.0\.0\.1 )\d+/, 'PORT')
    .replace(/min\.insync\.replicas=1,?/, '')
    .trimEnd()
}

const isKafkasOwn = (line: string): boolean => line.startsWith('min.insync.replicas=1 sensitive')

for (const { title, entries } of parseTranscript(readFileSync(EXPECTED, 'utf8'))) {
  test(title, async () => {
    const seen: Section = { title, entries: [] }
    recorded.push(seen)
    for (const { command, output } of entries) {
      const lines = (await tools.run(command)).filter(line => !isKafkasOwn(line)).map(outcome)
      seen.entries.push({ command, output: lines })
      if (!process.env.RECORD) assert.equal(lines, output, command)
    }
  })
}

test.run()
