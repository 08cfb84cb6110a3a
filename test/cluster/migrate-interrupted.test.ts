import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CLUSTER, MIGRATION } from '../../src/cluster/cluster-record.ts'
import { EtcdMetadataStore } from '../../src/metadata/etcd/store.ts'
import { LocalMetadataStore } from '../../src/metadata/local.ts'
import { type MetadataStore, OutcomeUnknown } from '../../src/metadata/store.ts'
import { parseMetadataUrl } from '../../src/metadata/url.ts'
import { type FileSystem, realFileSystem } from '../../src/storage/fs.ts'
import { OverlayFs } from '../../src/storage/overlay-fs.ts'
import { SILENT } from '../lib/silent.ts'
import {
  aroundMigrations,
  copyOf,
  makeLoneNode,
  migrateTo,
  newFolder,
  seenOf,
  start,
} from './lone-node.ts'

const test = suite('odradek metadata migrate, interrupted')
const ground = aroundMigrations(test)
const { newPlace } = ground

const openAt = (place: string): Promise<EtcdMetadataStore> =>
  EtcdMetadataStore.open({ url: parseMetadataUrl(place), log: SILENT })

/** Counts what changes anything, and dies at one of these steps: before it, or behind it. What comes then is not done either. */
class Death {
  steps = 0
  isDead = false
  readonly #at: number
  readonly #isBehind: boolean

  constructor(at: number, isBehind = false) {
    this.#at = at
    this.#isBehind = isBehind
  }

  #die(): never {
    this.isDead = true
    throw new Error('killed')
  }

  sync<T>(action: () => T): T {
    if (this.isDead || (++this.steps === this.#at && !this.#isBehind)) this.#die()
    const result = action()
    if (this.steps === this.#at) this.#die()
    return result
  }

  async step<T>(action: () => Promise<T>): Promise<T> {
    if (this.isDead || (++this.steps === this.#at && !this.#isBehind)) this.#die()
    const result = await action()
    if (this.steps === this.#at) this.#die()
    return result
  }
}

const CHANGING = ['write', 'truncate', 'fdatasync', 'rename', 'unlink', 'fsyncDir'] as const

function mortalFiles(death: Death): FileSystem {
  const changing = CHANGING.map(name => {
    const call = realFileSystem[name] as (...args: unknown[]) => void
    return [name, (...args: unknown[]) => death.sync(() => call(...args))]
  })
  return { ...realFileSystem, ...Object.fromEntries(changing) }
}

/** Only what a migration uses. */
function mortalStore(store: MetadataStore, death: Death): MetadataStore {
  return {
    get: key => store.get(key),
    list: prefix => store.list(prefix),
    transact: (compares, changes) => death.step(() => store.transact(compares, changes)),
  } as MetadataStore
}

/** Migrates until it dies. */
async function interrupted(place: string, dir: string, death: Death): Promise<void> {
  const store = await openAt(place)
  const mortal = { files: mortalFiles(death), store: mortalStore(store, death) }
  const thrown = await migrateTo(place, dir, mortal).then(
    () => null,
    (error: unknown) => error,
  )
  await store.close()
  if (thrown !== null && !death.isDead) throw thrown
  assert.is(thrown === null, !death.isDead)
}

/** All keys below the prefix, without what differs between two places. */
async function keysAt(place: string): Promise<Record<string, unknown>> {
  const store = await openAt(place)
  const { entries } = await store.list('')
  await store.close()
  return Object.fromEntries(entries.map(({ key, value }) => [key, value]))
}

/** Of the folder's own metadata. */
async function ownKeys(dir: string): Promise<Record<string, unknown>> {
  const store = new LocalMetadataStore(new OverlayFs(realFileSystem, dir), dir)
  const { entries } = await store.list('')
  return Object.fromEntries(
    entries.map(({ key, value }) => [key, key === 'cluster' ? 'somewhere' : value]),
  )
}

/** What a migration comes to that nothing interrupts, and in how many steps. */
async function uninterrupted() {
  const [dir, place, death] = [copyOf(ground.lone.dir), newPlace(), new Death(0)]
  await interrupted(place, dir, death)
  return { steps: death.steps, own: await ownKeys(dir), keys: await keysAt(place) }
}

/** Every step, and before or behind it. */
function deaths(steps: number): { at: number; isBehind: boolean }[] {
  return Array.from({ length: steps }, (_, i) =>
    [false, true].map(isBehind => ({ at: i + 1, isBehind })),
  ).flat()
}

test('killed at any step and repeated, it comes to the same', async () => {
  const { steps, own, keys } = await uninterrupted()
  assert.ok(steps > 10, String(steps))
  assert.not.ok(MIGRATION in keys)
  for (const { at, isBehind } of deaths(steps)) {
    const [dir, place] = [copyOf(ground.lone.dir), newPlace()]
    const step = `step ${at} of ${steps}, ${isBehind ? 'behind' : 'before'} it`
    const death = new Death(at, isBehind)
    await interrupted(place, dir, death)
    assert.ok(death.isDead, step)
    await migrateTo(place, dir)
    assert.equal(await keysAt(place), keys, step)
    assert.equal(await ownKeys(dir), own, step)
  }
})

test('killed in one attempt after the other, it comes to the same', async () => {
  const { steps, own, keys } = await uninterrupted()
  const [dir, place] = [copyOf(ground.lone.dir), newPlace()]
  for (const { at, isBehind } of deaths(steps)) {
    await interrupted(place, dir, new Death(at, isBehind))
  }
  await migrateTo(place, dir)
  assert.equal(await keysAt(place), keys)
  assert.equal(await ownKeys(dir), own)
})

test('until the cluster is made the broker may go on alone, and be migrated later', async () => {
  const { steps } = await uninterrupted()
  let undone = 0
  let seen: unknown
  for (const { at, isBehind } of deaths(steps)) {
    const [dir, place] = [copyOf(ground.lone.dir), newPlace()]
    await interrupted(place, dir, new Death(at, isBehind))
    if (CLUSTER in (await keysAt(place))) continue
    undone++
    const alone = await start(dir)
    seen ??= await seenOf(alone)
    await alone.registry.delete(alone.registry.topic('latest')!)
    const made = await alone.registry.create('made-since', 1, {})
    await alone.close()
    await migrateTo(place, dir)
    const keys = await keysAt(place)
    assert.ok(keys[`p/${made.id}/0`], 'what came since')
    assert.not.ok('topics/latest' in keys, 'nothing of what went since')
  }
  assert.ok(undone > 5, String(undone))
  const whole = await start(copyOf(ground.lone.dir))
  assert.equal(await seenOf(whole), seen)
  await whole.close()
})

test('a broker that went on alone behind the commit is not taken for what the cluster was made of', async () => {
  const { steps } = await uninterrupted()
  const [dir, place] = [copyOf(ground.lone.dir), newPlace()]
  // Backwards, to the step that marks the folder.
  let at = steps
  for (; at > 0; at--) {
    const [folder, there] = [copyOf(ground.lone.dir), newPlace()]
    await interrupted(there, folder, new Death(at))
    if (CLUSTER in (await keysAt(there)) && !('cluster' in (await ownKeys(folder)))) break
  }
  assert.ok(at > 0, 'there is a step between the commit and the mark')
  await interrupted(place, dir, new Death(at))
  const refused = await start(dir, place).then(
    () => null,
    (error: Error) => error,
  )
  assert.match(refused!.message, /odradek metadata migrate --to/)
  await (await start(dir)).close()
  const error = await migrateTo(place, dir).then(
    () => null,
    (thrown: Error) => thrown,
  )
  assert.match(error!.message, /a broker has started alone on it since.*etcdctl del --prefix/)
})

test('while one is under way nobody else makes a cluster there', async () => {
  const [dir, place] = [copyOf(ground.lone.dir), newPlace()]
  const store = await openAt(place)
  let transactions = 0
  const thrown: string[] = []
  const note = (error: Error): void => void thrown.push(error.message)
  const busy = {
    get: (key: string) => store.get(key),
    list: (prefix: string) => store.list(prefix),
    transact: async (...args: Parameters<MetadataStore['transact']>) => {
      const result = await store.transact(...args)
      if (++transactions > 1) return result
      await start(newFolder(), place, { 'node.id': 8 }).then(node => node.close(), note)
      await migrateTo(place, (await makeLoneNode()).dir).then(() => {}, note)
      return result
    },
  } as MetadataStore
  await migrateTo(place, dir, { store: busy })
  await store.close()
  assert.match(thrown[0]!, /has begun to make a cluster .* run it again/)
  assert.match(thrown[1]!, /A migration of another data folder .* has begun/)
  await (await start(dir, place)).close()
})

test('an answer that is lost is no failure of the cluster: the same command ends it', async () => {
  const { keys } = await uninterrupted()
  for (let lost = 1; lost <= 4; lost++) {
    const [dir, place] = [copyOf(ground.lone.dir), newPlace()]
    const store = await openAt(place)
    let transactions = 0
    const deaf = {
      get: (key: string) => store.get(key),
      list: (prefix: string) => store.list(prefix),
      transact: async (...args: Parameters<MetadataStore['transact']>) => {
        const result = await store.transact(...args)
        if (++transactions === lost) throw new OutcomeUnknown()
        return result
      },
    } as MetadataStore
    const error = await migrateTo(place, dir, { store: deaf }).catch(thrown => thrown)
    await store.close()
    if (lost <= transactions) assert.instance(error, OutcomeUnknown)
    await migrateTo(place, dir)
    assert.equal(await keysAt(place), keys)
  }
})

test.run()
