import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { carryOut } from '../../src/doctor/carry-out.ts'
import { examine } from '../../src/doctor/examine.ts'
import type { Finding } from '../../src/doctor/finding.ts'
import { type Plan, planRepair } from '../../src/doctor/repair.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import { plainBatch } from '../lib/batches.ts'
import { damageSomething } from '../lib/damage.ts'
import { RunningFolder, writeFolder } from '../lib/data-folder.ts'
import type { MemoryFs } from '../lib/memory-fs.ts'
import { Random, seeds } from '../lib/random.ts'
import { DATA_DIR, type Stored } from '../lib/store-driver.ts'

const RUNS = Number(process.env.RUNS ?? 60)
const ENDINGS = ['clean', 'kill', 'power cut'] as const
const KEEP = 'doctor-of-the-test'

const test = suite('odradek doctor --data --repair')

/** What a log serves, and where it goes on. */
interface Served {
  readonly batches: readonly Stored[]
  readonly end: number
}

async function servedBy(files: MemoryFs): Promise<Map<string, Served>> {
  const running = await RunningFolder.start(files)
  const served = running.served()
  const all = new Map<string, Served>()
  for (const [name, { view }] of running.logs) {
    assert.is(view.offline, null, name)
    all.set(name, { batches: served.get(name)!, end: view.nextOffset })
  }
  for (const [name, { end }] of all) {
    assert.is(running.append(name, plainBatch({ id: 9 })), end, `${name} goes on where it ends`)
  }
  return all
}

async function repaired(files: MemoryFs, keep = KEEP): Promise<Plan> {
  const plan = await planRepair(files, DATA_DIR, await examine(files, DATA_DIR))
  if (plan.changes.length > 0) carryOut(files, DATA_DIR, plan, keep)
  return plan
}

const isRefused = ({ left }: Plan): boolean =>
  left.some(({ repair }) => repair?.startsWith('nothing'))

/** Whether findings say that a batch is lost, or that they do not know what is. */
function isNamed(findings: readonly Finding[], name: string, one: Stored): boolean {
  const last = batch.lastOffset(one.bytes)
  const isAbout = ({ about }: Finding): boolean => about === name || !/-\d+$/.test(about)
  return findings
    .filter(({ verdict }) => verdict === 'lost')
    .filter(isAbout)
    .some(({ lost, file }) => {
      if (lost === null) return !file.startsWith(`${name}/`) || UNKNOWN.test(file)
      return one.baseOffset <= lost.to && last >= lost.from
    })
}

/** No checksum covers the leader epoch: where batches and file contradict each other either may be right. */
function withEpochOf(bytes: Buffer, other: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  other.copy(copy, 12, 12, 16)
  return copy
}

const isAboutEpochs =
  (name: string) =>
  ({ about, file, problem }: Finding): boolean =>
    about === name && /leader.epoch/.test(`${file} ${problem}`)

/** Damage to these leaves it open what was in them. */
const UNKNOWN = /\/(unreplayed|partition\.metadata)$/

function assertRepaired(
  before: ReadonlyMap<string, Served>,
  after: ReadonlyMap<string, Served>,
  { findings }: Plan,
  message: string,
): void {
  const isTailUnknown = findings.some(
    ({ verdict, lost, about }) => verdict === 'lost' && lost === null && !/-\d+$/.test(about),
  )
  for (const [name, was] of before) {
    const is = after.get(name)
    if (is === undefined) {
      const isForgotten = findings.some(f => f.about === 'metadata' && f.verdict === 'lost')
      assert.ok(isForgotten, `${message}: ${name} is forgotten`)
      continue
    }
    const found = new Map(is.batches.map(one => [one.baseOffset, one.bytes]))
    for (const one of was.batches) {
      const bytes = found.get(one.baseOffset)
      if (bytes === undefined) {
        const isCut = findings.some(f => f.about === name && /torn tail/.test(f.problem))
        assert.ok(
          isNamed(findings, name, one) || isCut,
          `${message}: ${name} lacks ${one.baseOffset}, which was not said to be lost`,
        )
      } else {
        const isSame = withEpochOf(bytes, one.bytes).equals(one.bytes)
        assert.ok(isSame, `${message}: ${name} has another batch at ${one.baseOffset}`)
        const isEpochKept = bytes.equals(one.bytes) || findings.some(isAboutEpochs(name))
        assert.ok(isEpochKept, `${message}: ${name} has another epoch at ${one.baseOffset}`)
        found.delete(one.baseOffset)
      }
    }
    assert.equal(
      [...found.keys()].filter(offset => offset < was.end),
      [],
      `${message}: ${name}`,
    )
    const isCut = findings.some(f => f.about === name && /torn tail/.test(f.problem))
    assert.ok(
      is.end >= was.end || isCut || isTailUnknown,
      `${message}: ${name} ends at ${is.end} of ${was.end}`,
    )
  }
}

for (const ending of ENDINGS) {
  test(`whatever is damaged: after a repair all is online, and what is not there was said to be lost, after a ${ending}`, async () => {
    let mended = 0
    let left = 0
    for (const seed of seeds(1, RUNS)) {
      const random = new Random(seed)
      const files = await writeFolder(random, ending)
      const before = await servedBy(files.clone(new Random(1)))
      const except = ending === 'power cut' ? /journal$/ : undefined
      const count = random.pick([1, 1, 2, 4])
      const what = Array.from({ length: count }, () => damageSomething(files, random, except))
      const message = `SEED=${seed} ${what.join(', ')}`
      const plan = await repaired(files)
      if (isRefused(plan)) {
        left++
        continue
      }
      if (plan.changes.length > 0) mended++
      let after: Map<string, Served>
      try {
        after = await servedBy(files.clone(new Random(1)))
      } catch (error) {
        throw new Error(`${message}: ${(error as Error).stack}`)
      }
      assertRepaired(before, after, plan, message)
      const again = await examine(files, DATA_DIR)
      assert.equal([...again.findings.mends.keys()], [], message)
    }
    assert.ok(mended > RUNS / 3 && left < RUNS / 6, `${mended} mended, ${left} left`)
  })
}

test('a repair that is killed, or meets a power cut, at any file call can be done again, and loses nothing more', async () => {
  let killed = 0
  for (const seed of seeds(1, RUNS)) {
    const random = new Random(seed)
    const files = await writeFolder(random, random.pick(['clean', 'kill']))
    const before = await servedBy(files.clone(new Random(1)))
    const isPowerCut = random.chance(0.5)
    const except = isPowerCut ? /journal$/ : undefined
    const what = [1, 2].map(() => damageSomething(files, random, except))
    const message = `SEED=${seed} ${what.join(', ')}`
    const plan = await planRepair(files, DATA_DIR, await examine(files, DATA_DIR))
    if (plan.changes.length === 0 || isRefused(plan)) continue
    const calls = callsOf(files.clone(new Random(1)), plan)
    files.arm({ at: 1 + random.below(calls), code: 'crash' })
    assert.throws(() => carryOut(files, DATA_DIR, plan, KEEP), /./, message)
    killed++
    const left = isPowerCut ? files.image(random) : files.clone(random)
    const again = await repaired(left, `${KEEP}-again`)
    assert.not.ok(isRefused(again), message)
    const findings = [...plan.findings, ...again.findings]
    try {
      assertRepaired(before, await servedBy(left), { ...plan, findings }, message)
    } catch (error) {
      throw new Error(`${message}: ${(error as Error).stack}`)
    }
  }
  assert.ok(killed > RUNS / 2, `${killed} killed`)
})

/** File calls that a plan takes. */
function callsOf(files: MemoryFs, plan: Plan): number {
  const { calls } = files
  carryOut(files, DATA_DIR, plan, KEEP)
  return files.calls - calls
}

test('every file that a repair changes is kept as it was', async () => {
  for (const seed of seeds(1, RUNS)) {
    const random = new Random(seed)
    const files = await writeFolder(random, 'kill')
    damageSomething(files, random)
    const before = files.clone(new Random(1))
    const { changes } = await repaired(files)
    const touched = new Set(changes.map(({ file }) => `${DATA_DIR}/${file}`))
    for (const path of before.list()) {
      const kept = touched.has(path) ? path.replace(DATA_DIR, `${DATA_DIR}/${KEEP}`) : path
      const [was, is] = [before.peek(path)!, files.peek(kept)]
      const isKept = is?.data.subarray(0, is.size).equals(was.data.subarray(0, was.size))
      assert.ok(isKept, `SEED=${seed} ${path}`)
    }
  }
})

test.run()
