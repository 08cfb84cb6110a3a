import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerNode } from '../../src/broker.ts'
import { AccessHere } from '../../src/embedded/access.ts'
import { Appender } from '../../src/embedded/append.ts'
import { read } from '../../src/embedded/read.ts'
import { Program } from './program.ts'

const RECORDS = 12
const SEGMENT_BYTES = 1024 * 1024
const VALUE_BYTES = SEGMENT_BYTES / 4

const test = suite('odradek doctor --data')
const root = fs.mkdtempSync(join(tmpdir(), 'odradek-doctor-'))
const cli = new Program()
// It is not for a data folder, and must not be needed.
cli.env = { ODRADEK_BOOTSTRAP: '127.0.0.1:1' }
test.after(() => fs.rmSync(root, { recursive: true }))

const start = (dataDir: string): Promise<BrokerNode> =>
  BrokerNode.start({ code: { dataDir, listeners: 'PLAINTEXT://127.0.0.1:0' } })

/** A folder with a topic of one partition and several segments; `crash`: without a clean stop. */
async function written(name: string, isCrash = false): Promise<string> {
  const dir = join(root, name)
  const broker = await start(dir)
  await broker.registry.create('t', 1, { 'segment.bytes': String(SEGMENT_BYTES) })
  const appender = new Appender(new AccessHere(broker), AbortSignal.any([]))
  for (let i = 0; i < RECORDS; i++) {
    await appender.append('t', [{ key: String(i), value: 'v'.repeat(VALUE_BYTES) }])
  }
  await (isCrash ? broker.kill() : broker.close())
  return dir
}

const segmentsOf = (dir: string): string[] =>
  fs
    .readdirSync(join(dir, 't-0'))
    .filter(name => name.endsWith('.log'))
    .sort()

function overwrite(path: string, position: number, text: string): void {
  const fd = fs.openSync(path, 'r+')
  fs.writeSync(fd, text, position)
  fs.closeSync(fd)
}

/** Paths, contents and times of all files. */
function stateOf(dir: string): string[] {
  return fs
    .readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map(name => join(dir, name))
    .filter(path => fs.statSync(path).isFile())
    .map(path => `${path} ${fs.statSync(path).mtimeMs} ${fs.readFileSync(path, 'base64')}`)
}

async function keysIn(dir: string): Promise<string[]> {
  const broker = await start(dir)
  try {
    const keys: string[] = []
    const { signal } = new AbortController()
    for await (const { key } of read(new AccessHere(broker), 't', { until: 'end' }, signal))
      keys.push(String(key))
    return keys
  } finally {
    await broker.close()
  }
}

for (const isCrash of [false, true]) {
  test(`a folder that is well, after a ${isCrash ? 'crash' : 'clean stop'}: one line, and nothing in it changes`, async () => {
    const dir = await written(`well-${isCrash}`, isCrash)
    const before = stateOf(dir)
    const text = await cli.ok(['doctor', '--data', dir])
    assert.match(text, /: 1 topic, 1 partition: 12 records in 3\.1 MB read in \d+ ms; well\n$/)
    assert.is(text.split('\n').length, 2)
    const { findings, records, partitions } = await cli.json(['doctor', '--data', dir])
    assert.equal([findings, records, partitions], [[], RECORDS, 1])
    await cli.ok(['doctor', '--data', dir, '--repair', '--yes'])
    assert.equal(
      stateOf(dir).filter(line => !line.includes('/.lock ')),
      before.filter(line => !line.includes('/.lock ')),
    )
  })
}

test('damage in a closed segment: place, offsets and what to do; a repair keeps copies, and the rest can be read', async () => {
  const dir = await written('damaged')
  const [first] = segmentsOf(dir)
  const path = join(dir, 't-0', first!)
  const was = fs.readFileSync(path)
  overwrite(path, VALUE_BYTES + 1_000, 'X')
  const before = stateOf(dir)
  const looked = await cli.run(['doctor', '--data', dir])
  assert.is(looked.code, 1)
  assert.match(
    looked.stdout,
    /^lost {5}t-0\/0{20}\.log at byte \d+: a batch does not match its CRC \(\d+ bytes\); offset 1\n/,
  )
  assert.match(looked.stderr, /^odradek: 1 problem found/)
  const json = await cli.run(['doctor', '--data', dir, '--json'])
  assert.is(json.code, 1)
  assert.equal(JSON.parse(json.stdout).findings[0].lost, { from: 1, to: 1 })
  await cli.fails(2, /asks before it writes/, ['doctor', '--data', dir, '--repair'])
  assert.equal(stateOf(dir), before)
  const text = await cli.ok(['doctor', '--data', dir, '--repair', '--yes'])
  assert.match(text, /-> taken out[\s\S]*replace {2}t-0\/0{20}\.log[\s\S]*the folder is well/)
  const keep = fs.readdirSync(dir).find(name => name.startsWith('doctor-'))!
  assert.not.equal(fs.readFileSync(join(dir, keep, 't-0', first!)), was)
  overwrite(join(dir, keep, 't-0', first!), VALUE_BYTES + 1_000, 'v')
  assert.equal(fs.readFileSync(join(dir, keep, 't-0', first!)), was)
  assert.equal(JSON.parse(fs.readFileSync(join(dir, keep, 'report.json'), 'utf8')).left, [])
  await cli.ok(['doctor', '--data', dir])
  const expected = Array.from({ length: RECORDS }, (_, i) => String(i)).filter(key => key !== '1')
  assert.equal(await keysIn(dir), expected)
})

test('a batch that is cut out of the middle of a closed segment is found, which no checksum shows', async () => {
  const dir = await written('cut-out')
  const path = join(dir, 't-0', segmentsOf(dir)[0]!)
  const content = fs.readFileSync(path)
  const length = content.readInt32BE(8) + 12
  const second = content.readInt32BE(length + 8) + 12
  const rest = content.subarray(length + second)
  fs.writeFileSync(path, Buffer.concat([content.subarray(0, length), rest]))
  const { stdout, code } = await cli.run(['doctor', '--data', dir])
  assert.is(code, 1)
  assert.match(stdout, /0{20}\.log at byte \d+: what was here is missing; offset 1\n/)
  await cli.ok(['doctor', '--data', dir, '--repair', '--yes'])
  assert.is((await keysIn(dir)).length, RECORDS - 1)
})

test('a log that has lost its end is read up to where it goes on, and goes on there', async () => {
  const dir = await written('end')
  const last = segmentsOf(dir).at(-1)!
  const path = join(dir, 't-0', last)
  fs.truncateSync(path, fs.statSync(path).size - 10)
  const { findings } = JSON.parse((await cli.run(['doctor', '--data', dir, '--json'])).stdout)
  assert.equal(findings[0].lost, { from: RECORDS - 1, to: RECORDS - 1 })
  await cli.ok(['doctor', '--data', dir, '--repair', '--yes'])
  assert.is((await keysIn(dir)).length, RECORDS - 1)
  const broker = await start(dir)
  const [appended] = await new Appender(new AccessHere(broker), AbortSignal.any([])).append('t', [
    { key: 'next', value: '' },
  ])
  await broker.close()
  assert.is(Number(appended!.offset), RECORDS)
  assert.equal((await keysIn(dir)).slice(-2), [String(RECORDS - 2), 'next'])
})

test('what a start refuses is said, and mended: a journal that is gone, both copies of the metadata damaged', async () => {
  const dir = await written('refused', true)
  fs.rmSync(join(dir, 'journal', '0', '0.journal'))
  const size = fs.statSync(join(dir, 'metadata.log')).size
  overwrite(join(dir, 'metadata.log'), 100, '?')
  overwrite(join(dir, 'metadata.2.log'), size - 40, '?')
  const { stdout } = await cli.run(['doctor', '--data', dir])
  assert.match(
    stdout,
    /metadata\.log, metadata\.2\.log: both copies are damaged: a start is refused/,
  )
  assert.match(stdout, /journal\/0\/0\.journal: it is missing: a start is refused/)
  const { findings } = JSON.parse((await cli.run(['doctor', '--data', dir, '--json'])).stdout)
  const metadata = findings.find((one: { about: string }) => one.about === 'metadata')
  assert.match(metadata.repair, /together they have everything/)
  await cli.ok(['doctor', '--data', dir, '--repair', '--yes'])
  assert.is((await keysIn(dir)).length, RECORDS)
})

test('what is not a data folder, is not there, or is in use is refused', async () => {
  await cli.fails(1, /there is no folder \S+none$/m, ['doctor', '--data', join(root, 'none')])
  const empty = join(root, 'empty')
  fs.mkdirSync(empty)
  await cli.fails(1, /is not a data folder/, ['doctor', '--data', empty])
  assert.equal(fs.readdirSync(empty), [])
  const dir = join(root, 'in-use')
  const broker = await start(dir)
  try {
    for (const more of [[], ['--repair', '--yes']]) {
      await cli.fails(1, new RegExp(`in use by the process ${process.pid}`), [
        ...['doctor', '--data', dir, ...more],
      ])
    }
    fs.unlinkSync(join(dir, '.lock'))
    await cli.fails(1, /is in use by/, ['doctor', '--data', dir])
  } finally {
    await broker.close()
  }
  await cli.fails(2, /--repair is for a data folder/, ['doctor', '--repair'])
  await cli.fails(2, /--yes is for --repair/, ['doctor', '--data', dir, '--yes'])
})

test.run()
