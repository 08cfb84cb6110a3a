import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Client } from '../../src/client/client.ts'
import { Broker } from '../../src/index.ts'
import { fetchApi } from '../../src/protocol/messages/01-fetch.ts'

/** A process that has nothing more to do must have ended by then. */
const EXIT_MS_MAX = 20_000
/** A folder is taken for a left one from this age on, in seconds. */
const LEFT_S = 61

const test = suite('brokers that nobody closes')
const root = mkdtempSync(join(tmpdir(), 'odradek-forgotten-'))
const source = fileURLToPath(new URL('../../src', import.meta.url))
const children: ChildProcess[] = []

test.after(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(root, { recursive: true })
})

/** A program with a folder for temporary files of its own; what it prints, line by line. */
function run(tmp: string, script: string) {
  const imports = `
    const { Broker } = await import('${source}/index.ts')
    const { startTestBroker } = await import('${source}/testing/index.ts')
    const asked = () => new Promise(resolve => process.stdin.once('data', resolve)).then(() => process.stdin.destroy())
  `
  const args = ['--import', 'tsx', '--input-type=module', '-e', imports + script]
  const env = { ...process.env, TMPDIR: tmp }
  const child = spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const line = async (): Promise<string> => (await lines.next()).value
  const ended = async (): Promise<unknown> => {
    const signal = AbortSignal.timeout(EXIT_MS_MAX)
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit', { signal })
    return child.exitCode ?? child.signalCode
  }
  return { child, line, ended }
}

function newTmp(): string {
  const dir = mkdtempSync(join(root, 'tmp-'))
  mkdirSync(dir, { recursive: true })
  return dir
}

/** tsx has one as well. */
const foldersIn = (tmp: string): string[] =>
  readdirSync(tmp)
    .filter(name => name.startsWith('odradek-'))
    .map(name => join(tmp, name))

const SHOW_FOLDER = 'const broker = await startTestBroker(); console.log(broker.dataDir); '

test('the folder of a killed process is removed by the next one, but none that somebody lives in', async () => {
  const tmp = newTmp()
  const age = (dataDir: string): string => {
    const then = Date.now() / 1_000 - LEFT_S
    const folder = dirname(dataDir)
    utimesSync(folder, then, then)
    return folder
  }
  const alive = run(tmp, `${SHOW_FOLDER} await asked(); await broker.close()`)
  const killed = run(tmp, SHOW_FOLDER)
  const fresh = run(tmp, SHOW_FOLDER)
  const [living, left] = [age(await alive.line()), age(await killed.line())]
  const recent = dirname(await fresh.line())
  for (const { child, ended } of [killed, fresh]) {
    child.kill('SIGKILL')
    assert.is(await ended(), 'SIGKILL')
  }
  const other = join(tmp, 'odradek-other')
  mkdirSync(other)
  const next = run(tmp, `${SHOW_FOLDER} await broker.close()`)
  assert.ok(existsSync(dirname(dirname(await next.line()))))
  assert.is(await next.ended(), 0)
  assert.not(existsSync(left))
  const there = foldersIn(tmp)
  assert.equal(there.sort(), [living, recent, other].sort())
  alive.child.stdin!.write('\n')
  assert.is(await alive.ended(), 0)
  assert.not(existsSync(living))
})

test('with unref a test broker keeps no process alive, nor do its clients; its folder goes', async () => {
  const tmp = newTmp()
  const program = run(
    tmp,
    `const broker = await startTestBroker({ unref: true })
    await broker.seed({ t: [{ value: 'x' }] })
    await broker.restart()
    const [record] = await broker.waitForMessages('t')
    console.log(String(record.value) + broker.bootstrapServers.replace(/.*:/, ' '))
    await asked()
    const own = broker.subscribe({ group: 'g', topics: ['t'] })
    for await (const record of own) { await own.commit(record); console.log('committed') }`,
  )
  const [value, port] = (await program.line()).split(' ')
  assert.is(value, 'x')
  const address = { host: '127.0.0.1', port: Number(port) }
  const [client, other] = [await Client.connect(address), await Client.connect(address)]
  const partitions = [{ partition: 0, fetchOffset: 1, partitionMaxBytes: 1_000 }]
  const request = { maxWaitMs: 60_000, minBytes: 1, topics: [{ topic: 't', partitions }] }
  const waiting = client.send(fetchApi, 11, request).catch(() => 'gone')
  await other.apiVersions()
  program.child.stdin!.write('\n')
  assert.is(await program.line(), 'committed')
  // The program waits for its next record, which is no reason to go on.
  assert.is(await program.ended(), 13)
  assert.is(await waiting, 'gone')
  await Promise.all([client.close(), other.close()])
  assert.equal(foldersIn(tmp), [])
})

test('with unref a broker ends as by a crash: what was acknowledged is there', async () => {
  const dataDir = join(newTmp(), 'data')
  const program = run(
    root,
    `const broker = await Broker.start({ dataDir: '${dataDir}', unref: true })
    const appends = [1, 2, 3].map(value => broker.append('t', [{ value: String(value) }]))
    console.log(String((await Promise.all(appends)).flat().length))`,
  )
  assert.is(await program.line(), '3')
  assert.is(await program.ended(), 0)
  await using broker = await Broker.start({ dataDir })
  let count = 0
  for await (const _ of broker.read('t', { until: 'end' })) count++
  assert.is(count, 3)
})

test('without unref a forgotten broker keeps its process alive', async () => {
  const program = run(newTmp(), `${SHOW_FOLDER} process.stdin.unref(); console.log('there')`)
  await program.line()
  assert.is(await program.line(), 'there')
  program.child.kill('SIGTERM')
  assert.is(await program.ended(), 'SIGTERM')
})

test.run()
