import { EtcdMetadataStore } from '../../src/metadata/etcd/store.ts'
import {
  type Entry,
  type MetadataStore,
  OutcomeUnknown,
  type TxResult,
} from '../../src/metadata/store.ts'
import { parseMetadataUrl } from '../../src/metadata/url.ts'
import type { Etcd } from '../lib/etcd.ts'
import { type Fault, FaultProxy } from '../lib/fault-proxy.ts'
import type { Random } from '../lib/random.ts'
import { SILENT } from '../lib/silent.ts'
import { Mirror } from '../metadata/mirror.ts'

/** Requests to etcd through the proxy are given up after so long. */
const REQUEST_MS = 60
const KEYS = ['a', 'b', 'c']
const ROUNDS = 12
const WRITERS = 4

/** A store has said something false about a transaction. */
export class Broken extends Error {
  override readonly name = 'Broken'
}

/** What was said of a transaction, by the value that it would have written. */
type Said =
  | { readonly kind: 'applied' | 'refused'; readonly revision: number }
  | { readonly kind: 'failed' | 'unknown' }

export interface LedgerResult {
  readonly applied: number
  readonly refused: number
  readonly failed: number
  /** Of those of which nothing was said. */
  readonly unknownApplied: number
  readonly unknownLost: number
}

/** @returns what stands for the store: a bug is planted by it */
export type Plant = (store: MetadataStore) => MetadataStore

/**
 * Writers that compare and set through a proxy which loses, drops, delays and holds back requests and answers; a watch past
 * the proxy that sees every value which was ever written. Each value is written by one transaction only: what was said of it
 * must be true, also after everything that was held back has arrived.
 */
export async function ledger(
  etcd: Etcd,
  prefix: string,
  r: Random,
  plant: Plant,
): Promise<LedgerResult> {
  const at = (ports: readonly number[]) =>
    parseMetadataUrl(`etcd://${ports.map(port => `127.0.0.1:${port}`).join(',')}/${prefix}`)
  const direct = await EtcdMetadataStore.open({ url: at([etcd.port]), log: SILENT })
  const proxy = await FaultProxy.start(etcd.port)
  const url = at([proxy.port, proxy.port].slice(r.below(2)))
  const store = await EtcdMetadataStore.open({ url, log: SILENT, requestMs: REQUEST_MS })
  const said = new Map<string, Said>()
  try {
    const mirror = await Mirror.of(direct, '')
    proxy.faultOf = path => (path.startsWith('/v3/kv/txn') ? faultFor(r) : 'none')
    const writers = Array.from({ length: WRITERS }, (_, i) =>
      write({ direct, store: plant(store) }, i, r, said),
    )
    await Promise.all(writers)
    proxy.faultOf = () => 'none'
    proxy.release()
    // What was released has no order with what comes after, but etcd decides within moments.
    await settle(direct, mirror)
    return judge(said, mirror)
  } finally {
    await proxy.close()
    await store.close()
    await direct.close()
  }
}

function faultFor(r: Random): Fault {
  if (r.chance(0.4)) return 'none'
  return r.pick<Fault>([
    'lose',
    'drop',
    'silence',
    'hold',
    { delayMs: 10 },
    { delayMs: 3 * REQUEST_MS },
  ])
}

async function write(
  { direct, store }: { readonly direct: MetadataStore; readonly store: MetadataStore },
  writer: number,
  r: Random,
  said: Map<string, Said>,
): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const key = r.pick(KEYS)
    const value = `${writer} ${round}`
    const now = await direct.get(key)
    // Now and then against a revision that is wrong: that must be refused, or nothing is said of it.
    const compared = (now?.revision ?? 0) + (r.chance(0.2) ? 1_000_000 : 0)
    said.set(value, await attempt(store, key, compared, value))
  }
}

async function attempt(
  store: MetadataStore,
  key: string,
  revision: number,
  value: string,
): Promise<Said> {
  try {
    const result = await store.compareAndSet(key, revision, value)
    return { kind: result.outcome, revision: result.revision }
  } catch (error) {
    return { kind: error instanceof OutcomeUnknown ? 'unknown' : 'failed' }
  }
}

const SETTLE_MS = 50

async function settle(direct: MetadataStore, mirror: Mirror): Promise<void> {
  let before = -1
  for (let { revision } = await direct.list(''); revision !== before; ) {
    before = revision
    await new Promise(resolve => setTimeout(resolve, SETTLE_MS))
    ;({ revision } = await direct.list(''))
  }
  await mirror.reaches(direct)
}

function judge(said: ReadonlyMap<string, Said>, mirror: Mirror): LedgerResult {
  const written = new Map<string, number>()
  for (const text of mirror.told) {
    const [, revision, value] = /^(\d+) \w+="(.*)"$/.exec(text)!
    if (written.has(value!)) throw new Broken(`${value} was written twice`)
    written.set(value!, Number(revision))
  }
  const count = { applied: 0, refused: 0, failed: 0, unknownApplied: 0, unknownLost: 0 }
  for (const [value, one] of said) {
    const revision = written.get(value)
    if (one.kind === 'unknown') count[revision === undefined ? 'unknownLost' : 'unknownApplied']++
    else {
      count[one.kind]++
      const isTrue = one.kind === 'applied' ? revision === one.revision : revision === undefined
      if (!isTrue)
        throw new Broken(`${value} is said to be ${JSON.stringify(one)}, and it is at ${revision}`)
    }
  }
  return count
}

/** A store that says something else of what is not known. */
export const instead =
  (of: (key: string, revision: number) => TxResult): Plant =>
  store =>
    Object.assign(Object.create(store) as MetadataStore, {
      get: (key: string): Promise<Entry | null> => store.get(key),
      compareAndSet: async (key: string, revision: number, value: string): Promise<TxResult> => {
        try {
          return await store.compareAndSet(key, revision, value)
        } catch (error) {
          if (error instanceof OutcomeUnknown) return of(key, revision)
          throw error
        }
      },
    })

/** A store that sends again what may have arrived. */
export const again: Plant = store =>
  Object.assign(Object.create(store) as MetadataStore, {
    get: (key: string): Promise<Entry | null> => store.get(key),
    compareAndSet: async (key: string, revision: number, value: string): Promise<TxResult> => {
      for (;;) {
        try {
          return await store.compareAndSet(key, revision, value)
        } catch (error) {
          if (!(error instanceof OutcomeUnknown)) throw error
        }
      }
    },
  })
