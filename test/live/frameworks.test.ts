import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerProcess } from '../lib/broker-process.ts'
import { freePort } from '../lib/free-port.ts'
import { javaCommand, kafkaTool, lines, program, run } from './tools.ts'

const STANDALONE = 'org.apache.kafka.connect.cli.ConnectStandalone'
const DISTRIBUTED = 'org.apache.kafka.connect.cli.ConnectDistributed'
const TOPICS = 'org.apache.kafka.tools.TopicCommand'
/** A JVM starts, joins its group and does its work in that time. */
const WAIT_MS_MAX = 60_000
const LOOK_MS = 100

const test = suite('Kafka Connect and Kafka Streams')
let broker: BrokerProcess
let work: string
const running = new Set<ChildProcess>()

test.before(async () => {
  broker = await BrokerProcess.start({ overrides: ['group.initial.rebalance.delay.ms=0'] })
  work = mkdtempSync(join(tmpdir(), 'odradek-frameworks-'))
})
test.after(async () => {
  for (const child of running) child.kill('SIGKILL')
  await broker.remove()
  rmSync(work, { recursive: true })
})

/** A Java program that runs until it is ended; everything it prints. */
class Program {
  readonly child: ChildProcess
  output = ''

  constructor(className: string, args: readonly string[]) {
    const [java, ...before] = javaCommand(className)
    this.child = spawn(java!, [...before, ...args], { cwd: work, stdio: 'pipe' })
    running.add(this.child)
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.on('data', (chunk: Buffer) => {
        this.output += chunk.toString()
      })
    }
  }

  /** Resolves with what `look` gives as soon as that is not null. */
  async until<T>(what: string, look: () => T | null | Promise<T | null>): Promise<T> {
    const end = Date.now() + WAIT_MS_MAX
    for (;;) {
      const found = await look()
      if (found !== null) return found
      const isOver = this.child.exitCode !== null || Date.now() > end
      if (isOver) throw new Error(`${what} has not come:\n${this.output.slice(-4_000)}`)
      await delay(LOOK_MS)
    }
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const ended = once(this.child, 'exit')
    this.child.kill(signal)
    await ended
    running.delete(this.child)
  }
}

const properties = (name: string, values: Record<string, string | number>): string => {
  const path = join(work, name)
  const text = Object.entries(values).map(([key, value]) => `${key}=${value}\n`)
  writeFileSync(path, text.join(''))
  return path
}

const STRING = 'org.apache.kafka.connect.storage.StringConverter'

const connectWorker = (port: number) => ({
  'bootstrap.servers': broker.address,
  'key.converter': STRING,
  'value.converter': STRING,
  'offset.flush.interval.ms': 200,
  listeners: `http://127.0.0.1:${port}`,
})

const source = (file: string, topic: string) => ({
  ...{ name: `source-${topic}`, 'connector.class': 'FileStreamSource', 'tasks.max': 1 },
  ...{ file: join(work, file), topic },
})
const sink = (file: string, topic: string) => ({
  ...{ name: `sink-${topic}`, 'connector.class': 'FileStreamSink', 'tasks.max': 1 },
  ...{ file: join(work, file), topics: topic },
})

const contentOf = (file: string): string[] =>
  existsSync(join(work, file)) ? lines(readFileSync(join(work, file), 'utf8')) : []

/** All of these lines are in the file. */
const has = (file: string, wanted: readonly string[]) => () =>
  wanted.every(line => contentOf(file).includes(line)) ? true : null

test('Connect, standalone: lines of a file go through a topic into another file, each once, over a restart', async () => {
  const own = { 'offset.storage.file.filename': join(work, 'standalone.offsets') }
  const files = [
    properties('standalone', { ...connectWorker(await freePort()), ...own }),
    properties('standalone-source', source('standalone.in', 'standalone')),
    properties('standalone-sink', sink('standalone.out', 'standalone')),
  ]
  writeFileSync(join(work, 'standalone.in'), 'one\ntwo\n')
  const first = new Program(STANDALONE, files)
  await first.until('the first lines', has('standalone.out', ['one', 'two']))
  await first.end()
  appendFileSync(join(work, 'standalone.in'), 'three\n')
  const second = new Program(STANDALONE, files)
  await second.until('the line after the restart', has('standalone.out', ['three']))
  await second.end()
  assert.equal(contentOf('standalone.out'), ['one', 'two', 'three'])
})

test('Connect, distributed: connectors made by REST go on after the worker is killed; its topics are compacted', async () => {
  const port = await freePort()
  const worker = properties('distributed', {
    ...connectWorker(port),
    'group.id': 'connect',
    // What the killed worker had is given to others when its session is over.
    'session.timeout.ms': 6_000,
    'heartbeat.interval.ms': 1_000,
    'scheduled.rebalance.max.delay.ms': 0,
    ...Object.fromEntries(
      ['config', 'offset', 'status'].flatMap(kind => [
        [`${kind}.storage.topic`, `connect-${kind}`],
        [`${kind}.storage.replication.factor`, 1],
      ]),
    ),
    'offset.storage.partitions': 3,
    'status.storage.partitions': 2,
  })
  const rest = async (path: string, body?: object): Promise<unknown> => {
    const post = { method: 'POST', headers: { 'content-type': 'application/json' } }
    const request = body === undefined ? {} : { ...post, body: JSON.stringify(body) }
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, request).catch(() => null)
    return answer?.ok ? answer.json() : null
  }
  writeFileSync(join(work, 'distributed.in'), 'one\ntwo\n')
  const first = new Program(DISTRIBUTED, [worker])
  await first.until('the worker', () => rest('/connectors'))
  for (const { name, ...config } of [
    source('distributed.in', 'distributed'),
    sink('distributed.out', 'distributed'),
  ]) {
    await first.until(`connector ${name}`, () => rest('/connectors', { name, config }))
  }
  await first.until('the first lines', has('distributed.out', ['one', 'two']))
  const hasCommitted = async (): Promise<unknown> => {
    const found = (await rest('/connectors/source-distributed/offsets')) as {
      offsets: unknown[]
    } | null
    return found !== null && found.offsets.length > 0 ? found : null
  }
  await first.until('the offset of the source', hasCommitted)
  await first.end('SIGKILL')
  appendFileSync(join(work, 'distributed.in'), 'three\n')
  const second = new Program(DISTRIBUTED, [worker])
  await second.until('the line after the kill', has('distributed.out', ['three']))
  await second.end()
  assert.ok(contentOf('distributed.out').length >= 3)
  const topics = ['--bootstrap-server', broker.address, '--describe', '--topic', 'connect-.*']
  const { stdout } = await kafkaTool(TOPICS, topics)
  assert.is(stdout.match(/cleanup\.policy=compact/g)?.length, 3)
})

test('Streams: words are counted at least once, with a state store, its changelog and a repartition topic, over two restarts', async () => {
  const to = ['--bootstrap-server', broker.address]
  const kcat = ['-q', '-b', broker.address]
  for (const topic of ['lines', 'counts']) {
    await kafkaTool(TOPICS, [...to, '--create', '--topic', topic, '--partitions', '2'])
  }
  const said = ['the quick fox', 'the slow fox', 'the end']
  for (const [round, line] of said.entries()) {
    const state = join(work, round === 1 ? 'state-elsewhere' : 'state')
    const counting = new Program('WordCount', [broker.address, state])
    await run(program('kcat'), [...kcat, '-P', '-t', 'lines'], { input: `${line}\n` })
    await counting.until('the count of "the"', async () => {
      const counts = await countsIn(kcat)
      return Number(counts.get('the') ?? 0) === round + 1 ? counts : null
    })
    counting.child.stdin!.end()
    if (counting.child.exitCode === null) await once(counting.child, 'exit')
    running.delete(counting.child)
  }
  const counts = await countsIn(kcat)
  assert.equal(Object.fromEntries([...counts].sort()), {
    ...{ end: '1', fox: '2', quick: '1', slow: '1', the: '3' },
  })
  const { stdout } = await kafkaTool(TOPICS, [...to, '--describe', '--topic', 'word-count-.*'])
  assert.match(stdout, /word-count-counted-changelog.*cleanup\.policy=compact/)
  assert.match(stdout, /word-count-counted-repartition/)
})

/** The newest count of each word. */
async function countsIn(kcat: readonly string[]): Promise<Map<string, string>> {
  const args = [...kcat, '-C', '-t', 'counts', '-e', '-K', '\t']
  const { stdout } = await run(program('kcat'), args)
  return new Map(lines(stdout).map(line => line.split('\t') as [string, string]))
}

test.run()
