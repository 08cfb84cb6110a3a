import * as assert from 'uvu/assert'
import { carryOut } from '../../src/doctor/carry-out.ts'
import { examine } from '../../src/doctor/examine.ts'
import type { Finding } from '../../src/doctor/finding.ts'
import { type Plan, planRepair } from '../../src/doctor/repair.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import { plainBatch } from './batches.ts'
import { damageSomething } from './damage.ts'
import { RunningFolder, writeFolder } from './data-folder.ts'
import type { MemoryFs } from './memory-fs.ts'
import { Random } from './random.ts'
import { DATA_DIR, type Stored } from './store-driver.ts'

export type Ending = 'clean' | 'kill' | 'power cut'
export const ENDINGS: readonly Ending[] = ['clean', 'kill', 'power cut']
export const KEEP = 'doctor-of-the-test'

/** Changes the file system that the doctor gets, so that it behaves as if it had a bug. */
export type Plant = (files: MemoryFs) => void
const NOTHING: Plant = () => {}

/** After a power cut damage to the last group of the journal cannot be told from a torn write. */
const exceptAfter = (isPowerCut: boolean): RegExp | undefined =>
  isPowerCut ? /journal$/ : undefined

export const contentOf = (files: MemoryFs): string[] =>
  files.list().map(path => `${path} ${bytesAt(files, path).toString('base64')}`)

function bytesAt(files: MemoryFs, path: string): Buffer {
  const file = files.peek(path)!
  return file.data.subarray(0, file.size)
}

export const textOf = (findings: readonly Finding[]): string =>
  findings.map(one => `${one.verdict} ${one.file} ${one.position} ${one.problem}`).join('\n')

/** What a start serves, as text; null if it is refused, or a partition is offline. */
async function servedText(files: MemoryFs): Promise<string | null> {
  try {
    const running = await RunningFolder.start(files.clone(new Random(1)))
    const all = [...running.served()]
    if (all.some(([, stored]) => stored === null)) return null
    const lines = all.map(([name, stored]) => {
      return `${name} ${stored!.map(one => one.bytes.toString('base64')).join()}`
    })
    return lines.join('\n')
  } catch {
    return null
  }
}

/**
 * Damages a folder once and looks at it: that is reported, or changes nothing that is served, and nothing is written.
 * @returns whether it was reported
 */
export async function lookAtDamage(seed: number, ending: Ending, plant = NOTHING) {
  const random = new Random(seed)
  const files = await writeFolder(random, ending)
  const before = await servedText(files)
  const what = damageSomething(files, random, exceptAfter(ending === 'power cut'))
  const content = contentOf(files)
  const seen = files.clone(new Random(1))
  plant(seen)
  const { findings } = await examine(seen, DATA_DIR)
  assert.equal(contentOf(seen), content, `SEED=${seed} ${what}`)
  const isReported = findings.faults.length > 0 || /torn tail/.test(textOf(findings.all))
  const isSame = isReported || (await servedText(files)) === before
  assert.ok(isSame, `SEED=${seed} ${what} is not reported`)
  return isReported
}

/** What a log serves, and where it goes on. */
interface Served {
  readonly batches: readonly Stored[]
  readonly start: number
  readonly end: number
}

async function servedBy(files: MemoryFs): Promise<Map<string, Served>> {
  const running = await RunningFolder.start(files)
  const served = running.served()
  const all = new Map<string, Served>()
  for (const [name, { view }] of running.logs) {
    assert.is(view.offline, null, name)
    all.set(name, {
      batches: served.get(name)!,
      start: view.logStartOffset,
      end: view.nextOffset,
    })
  }
  for (const [name, { end }] of all) {
    assert.is(running.append(name, plainBatch({ id: 9 })), end, `${name} goes on where it ends`)
  }
  return all
}

async function planFor(files: MemoryFs): Promise<Plan> {
  return planRepair(files, DATA_DIR, await examine(files, DATA_DIR))
}

const isRefused = ({ left }: Plan): boolean =>
  left.some(({ repair }) => repair?.startsWith('nothing'))

/** Damages a folder a few times, repairs it and starts on it. @returns what came of it */
export async function repairDamage(seed: number, ending: Ending, plant = NOTHING) {
  const random = new Random(seed)
  const files = await writeFolder(random, ending)
  const before = await servedBy(files.clone(new Random(1)))
  const count = random.pick([1, 1, 2, 4])
  const except = exceptAfter(ending === 'power cut')
  const what = Array.from({ length: count }, () => damageSomething(files, random, except))
  const message = `SEED=${seed} ${what.join(', ')}`
  const was = files.clone(new Random(1))
  const plan = await planFor(files)
  const left = files.clone(new Random(1))
  plant(left)
  if (plan.changes.length > 0) carryOut(left, DATA_DIR, plan, KEEP)
  assertKept(was, left, message)
  if (isRefused(plan)) return 'refused'
  assertRepaired(before, await started(left, message), plan, message)
  const again = await examine(left, DATA_DIR)
  assert.equal([...again.findings.mends.keys()], [], message)
  return plan.changes.length > 0 ? 'mended' : 'well'
}

async function started(files: MemoryFs, message: string): Promise<Map<string, Served>> {
  try {
    return await servedBy(files.clone(new Random(1)))
  } catch (error) {
    throw new Error(`${message}: ${(error as Error).stack}`)
  }
}

/** Every file is as it was, or a copy of it is kept. */
function assertKept(was: MemoryFs, is: MemoryFs, message: string): void {
  for (const path of was.list()) {
    const bytes = bytesAt(was, path)
    const places = [path, path.replace(DATA_DIR, `${DATA_DIR}/${KEEP}`)]
    const isThere = places.some(
      place => is.peek(place) !== null && bytesAt(is, place).equals(bytes),
    )
    assert.ok(isThere, `${message}: ${path} is not kept`)
  }
}

/**
 * The same with a repair that is killed, or meets a power cut, at any of its file calls, and is then done again.
 * @returns whether there was anything to repair
 */
export async function killRepair(seed: number, plant = NOTHING): Promise<boolean> {
  const random = new Random(seed)
  const isPowerCut = random.chance(0.5)
  const files = await writeFolder(random, 'clean')
  const before = await servedBy(files.clone(new Random(1)))
  const what = [1, 2].map(() => damageSomething(files, random, exceptAfter(isPowerCut)))
  const message = `SEED=${seed} ${what.join(', ')}${isPowerCut ? ', power cut' : ''}`
  const flushed = flushedCopy(files)
  const plan = await planFor(flushed)
  if (plan.changes.length === 0 || isRefused(plan)) return false
  const was = flushed.clone(new Random(1))
  const rehearsal = flushed.clone(new Random(1))
  carryOut(rehearsal, DATA_DIR, plan, KEEP)
  plant(flushed)
  flushed.arm({ at: 1 + random.below(rehearsal.calls), code: 'crash' })
  try {
    carryOut(flushed, DATA_DIR, plan, KEEP)
  } catch {
    // It may come behind the last call: then all is done.
  }
  const left = isPowerCut ? flushed.image(random) : flushed.clone(random)
  assertKept(was, left, message)
  const again = await planFor(left)
  carryOut(left, DATA_DIR, again, `${KEEP}-again`)
  assertRepaired(before, await started(left, message), plan, message)
  return true
}

/** As after a clean stop and some time: all is on the disk, so that a power cut takes only what the repair has written. */
function flushedCopy(files: MemoryFs): MemoryFs {
  const copy = files.clone(new Random(1))
  for (const path of copy.list()) {
    copy.peek(path)!.flush()
    for (let at = path; at !== '/'; at = at.slice(0, at.lastIndexOf('/')) || '/') {
      copy.fsyncDir(at.slice(0, at.lastIndexOf('/')) || '/')
    }
  }
  copy.calls = 0
  return copy
}

/** Damage to these leaves it open what was in them. */
const UNKNOWN = /\/(unreplayed|partition\.metadata)$/
const isPartition = (about: string): boolean => /-\d+$/.test(about)

/** Whether findings say that a batch is lost, or that they do not know what is. */
function isNamed(findings: readonly Finding[], name: string, one: Stored): boolean {
  const last = batch.lastOffset(one.bytes)
  return findings
    .filter(({ verdict, about }) => verdict === 'lost' && (about === name || !isPartition(about)))
    .some(({ lost, file }) => {
      if (lost === null) return !file.startsWith(name) || UNKNOWN.test(file)
      return one.baseOffset <= lost.to && last >= lost.from
    })
}

const isEmptied = (bytes: Buffer): boolean => batch.recordsCount(bytes) === 0

/** No checksum covers the leader epoch: where batches and file contradict each other either may be right. */
function withEpochOf(bytes: Buffer, other: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  other.copy(copy, 12, 12, 16)
  return copy
}

function assertRepaired(
  before: ReadonlyMap<string, Served>,
  after: ReadonlyMap<string, Served>,
  { findings }: Plan,
  message: string,
): void {
  const isAnywhereLost = findings.some(
    ({ verdict, lost, about }) => verdict === 'lost' && lost === null && !isPartition(about),
  )
  for (const [name, was] of before) {
    const own = findings.filter(({ about }) => about === name)
    const is = after.get(name)
    if (is === undefined) {
      // Nothing says which topic that was if both are damaged, the metadata and the file that has its id.
      assert.match(message, `${name}/partition.metadata`)
      continue
    }
    const isCut = own.some(({ problem }) => /torn tail/.test(problem))
    const isAboutEpochs = own.some(f => /leader.epoch/.test(`${f.file} ${f.problem}`))
    const found = new Map(is.batches.map(one => [one.baseOffset, one.bytes]))
    for (const one of was.batches) {
      const where = `${message}: ${name} at ${one.baseOffset}`
      const bytes = found.get(one.baseOffset)
      found.delete(one.baseOffset)
      if (bytes === undefined || (isEmptied(bytes) && !isEmptied(one.bytes))) {
        const isSaid = isCut || isNamed(findings, name, one)
        assert.ok(isSaid, `${where}: it is missing, which was not said`)
      } else {
        assert.ok(withEpochOf(bytes, one.bytes).equals(one.bytes), `${where}: another batch`)
        assert.ok(bytes.equals(one.bytes) || isAboutEpochs, `${where}: another epoch`)
      }
    }
    const last = is.batches.at(-1)
    const reached = last === undefined ? is.start : batch.lastOffset(last.bytes) + 1
    assert.is(reached, is.end, `${message}: ${name} cannot be read to its end`)
    const strange = [...found].flatMap(([offset, bytes]) =>
      offset < was.end && !isEmptied(bytes) ? [offset] : [],
    )
    assert.equal(strange, [], `${message}: ${name} has what was never there`)
    const isEnd = is.end >= was.end || isCut || isAnywhereLost
    assert.ok(isEnd, `${message}: ${name} ends at ${is.end} of ${was.end}`)
  }
}
