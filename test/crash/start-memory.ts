import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BrokerNode } from '../../src/broker.ts'
import { AccessHere } from '../../src/embedded/access.ts'
import { Appender } from '../../src/embedded/append.ts'

/**
 * What a start takes, after a kill with full journals and after a clean stop:
 * `node --import tsx test/crash/start-memory.ts --workers 1,4,8,16 [--dir DIR]`.
 */
const PARTITIONS_A_WORKER = 4
const VALUE_BYTES = 16 * 1024
const JOURNALLED_BYTES_A_WORKER = 60 * 1024 * 1024
const APPENDS_AT_ONCE = 8

const option = (name: string, fallback: string): string => {
  const at = process.argv.indexOf(`--${name}`)
  return at === -1 ? fallback : process.argv[at + 1]!
}

const start = (dataDir: string, workers: number): Promise<BrokerNode> => {
  const listeners = 'PLAINTEXT://127.0.0.1:0'
  return BrokerNode.start({ code: { dataDir, listeners, 'odradek.partition.workers': workers } })
}

const peakMiB = (): number =>
  Math.round(Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024)

/** Fills the journals and dies. */
async function fill(dir: string, workers: number): Promise<void> {
  const broker = await start(dir, workers)
  await broker.registry.create('t', workers * PARTITIONS_A_WORKER, {})
  const appender = new Appender(new AccessHere(broker), AbortSignal.any([]))
  const value = 'v'.repeat(VALUE_BYTES)
  let left = (workers * JOURNALLED_BYTES_A_WORKER) / VALUE_BYTES
  let partition = 0
  const append = async (): Promise<void> => {
    while (left-- > 0) {
      partition = (partition + 1) % (workers * PARTITIONS_A_WORKER)
      await appender.append('t', [{ value, partition }])
    }
  }
  await Promise.all(Array.from({ length: workers * APPENDS_AT_ONCE }, append))
  process.kill(process.pid, 'SIGKILL')
}

/** Starts, says what it took, and stops cleanly. */
async function measure(dir: string, workers: number): Promise<void> {
  const before = performance.now()
  const broker = await start(dir, workers)
  const seconds = ((performance.now() - before) / 1000).toFixed(1)
  const offline = broker.registry.topic('t')!.partitions.filter(p => p.offline !== null).length
  console.log(`${peakMiB()} MiB, ${seconds} s, ${offline} offline`)
  await broker.close()
}

function child(mode: string, dir: string, workers: number): string {
  const args = ['--import', 'tsx', fileURLToPath(import.meta.url), '--mode', mode]
  const more = ['--data', dir, '--workers', String(workers)]
  const { stdout, stderr, signal } = spawnSync(process.execPath, [...args, ...more], {
    encoding: 'utf8',
  })
  if (mode === 'fill' && signal !== 'SIGKILL') throw new Error(stderr)
  return stdout.trim().split('\n').at(-1)! || stderr
}

const mode = option('mode', '')
const workerCounts = option('workers', '1,4,8,16').split(',').map(Number)
if (mode === 'fill') await fill(option('data', ''), workerCounts[0]!)
else if (mode === 'start') await measure(option('data', ''), workerCounts[0]!)
else {
  for (const workers of workerCounts) {
    const dir = mkdtempSync(join(option('dir', tmpdir()), 'odradek-start-'))
    try {
      child('fill', dir, workers)
      console.log(`${workers} workers, after a kill: ${child('start', dir, workers)}`)
      console.log(`${workers} workers, after a clean stop: ${child('start', dir, workers)}`)
    } finally {
      rmSync(dir, { recursive: true })
    }
  }
}
