import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerNode } from '../../src/broker.ts'
import { TransactionWriter } from '../lib/append-here.ts'
import { kafkaTool } from './tools.ts'

const DUMP_LOG = 'org.apache.kafka.tools.DumpLogSegments'
const SEGMENT_BYTES = 1_048_576
const test = suite('the files of transactions')
const dataDir = mkdtempSync(join(tmpdir(), 'odradek-transactions-'))

test.after(() => rmSync(dataDir, { recursive: true }))

test('kafka-dump-log reads markers, the index of what was aborted, and open transactions of producers', async () => {
  const node = await BrokerNode.start({ code: { listeners: 'PLAINTEXT://127.0.0.1:0', dataDir } })
  await node.registry.create('t', 1, { 'segment.bytes': String(SEGMENT_BYTES) })
  const log = new TransactionWriter(node)
  await log.write('t', 11, 'a', 'b') // 0, 1
  await log.write('t', 12, 'c') // 2
  await log.end('t', 11, false) // 3
  await log.end('t', 12, true) // 4
  await log.write('t', 13, 'open') // 5
  // The next segment: with this one its snapshot is written.
  const long = 'x'.repeat(SEGMENT_BYTES * 0.6)
  await log.write('t', 13, long)
  await log.write('t', 13, long)
  await node.close()
  const dir = join(dataDir, 't-0')
  const first = (ending: string): string =>
    join(dir, readdirSync(dir).filter(name => name.endsWith(ending))[0]!)
  const dump = async (...args: string[]): Promise<string> => {
    const { stdout, stderr } = await kafkaTool(DUMP_LOG, [...args, '--files'].concat(files))
    assert.not.match(stdout + stderr, /isvalid: false|Exception|mismatch/)
    return stdout
  }
  let files = first('.log')
  const batches = await dump('--deep-iteration')
  assert.match(batches, /offset: 3 .*endTxnMarker: ABORT coordinatorEpoch: 0/)
  assert.match(batches, /offset: 4 .*endTxnMarker: COMMIT coordinatorEpoch: 0/)
  files = first('.txnindex')
  const aborted = 'producerId: 11 firstOffset: 0 lastOffset: 3 lastStableOffset: 2'
  assert.match(await dump(), new RegExp(`^version: 0 ${aborted}$`, 'm'))
  files = first('.snapshot')
  const producers = await dump()
  assert.match(
    producers,
    /producerId: 13 .*currentTxnFirstOffset: (Optional\[5\]|OptionalLong\[5\]|5)/,
  )
})

test.run()
