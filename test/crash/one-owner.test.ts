import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerProcess } from '../lib/broker-process.ts'
import { LockTaker } from '../lib/lock-takers.ts'

/** As a container: its own pids, so that both sides are pid 1, or nearly. */
const NAMESPACE = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc']
const LIBRARY = 0
const PROGRAM = 1

const test = suite('one owner of a folder, across namespaces and mounts')
const dirs: string[] = []
test.after(() => {
  for (const dir of dirs) fs.rmSync(dir, { recursive: true, force: true })
})

function newDir(): string {
  const dir = fs.mkdtempSync(join(tmpdir(), 'odradek-owner-'))
  dirs.push(dir)
  return dir
}

/** A process of its own pid namespace that sees `volume` under the name `mount` as well. */
const inContainer = (volume: string, mount: string): LockTaker =>
  new LockTaker([
    ...NAMESPACE,
    ...['--mount', 'sh', '-c', `mount --bind '${volume}' '${mount}' && exec "$@"`, 'sh'],
  ])

/** As kill -9 to what runs in the container; resolves when all of it is gone. */
async function killInside(child: ChildProcess): Promise<void> {
  const { pid } = child
  const inside = Number(fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'))
  const gone = once(child, 'exit')
  process.kill(inside, 'SIGKILL')
  await gone
}

for (const [name, way] of [
  ['library', LIBRARY],
  ['the program flock', PROGRAM],
] as const) {
  test(`${name}: two containers on one volume, each with its own mount: one has it`, async () => {
    const volume = newDir()
    const [mountA, mountB] = [newDir(), newDir()]
    await using a = inContainer(volume, mountA)
    await using b = inContainer(volume, mountB)
    assert.ok((await a.take(mountA, way)).held)
    const refused = await b.take(mountB, way)
    assert.not.ok(refused.held)
    assert.match(refused.error, /^in use by /)
    // By its own path, too.
    assert.not.ok((await b.take(volume, way)).held)
    await killInside(a.child)
    assert.ok((await b.take(mountB, way)).held, 'a death gives it back')
  })
}

test('a broker in a container keeps one in another from its volume, until it is killed', async () => {
  const dir = newDir()
  const wrapper = NAMESPACE
  const first = await BrokerProcess.start({ dir, wrapper })
  const refused = await BrokerProcess.start({ dir, wrapper }).catch((error: Error) => error)
  assert.instance(refused, Error)
  assert.match((refused as Error).message, /in use by /)
  await killInside(first.child)
  const next = await BrokerProcess.start({ dir, wrapper })
  await killInside(next.child)
})

test.run()
