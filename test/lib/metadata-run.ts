import { COPIES } from '../../src/metadata/copies.ts'
import { LocalMetadataStore } from '../../src/metadata/local.ts'
import type { Json, KeyChange } from '../../src/metadata/store.ts'
import { MemoryFs } from './memory-fs.ts'
import { Random } from './random.ts'

const DIR = '/data'
/** Large enough, in some runs, for the log to be written anew amid the work. */
const LARGE_VALUE = 90_000

/** A broken promise of the metadata store. */
export class Broken extends Error {
  override readonly name = 'Broken'
}

export interface MetadataMutation {
  readonly files?: (files: MemoryFs) => void
  /** What a start is told of the last stop. */
  readonly wasClean?: (wasClean: boolean) => boolean
}

type State = Readonly<Record<string, Json>>

function applied(state: State, changes: readonly KeyChange[]): State {
  const next: Record<string, Json> = { ...state }
  for (const { key, value } of changes) {
    if (value === null) delete next[key]
    else next[key] = value
  }
  return next
}

const textOf = (state: State): string =>
  JSON.stringify(Object.entries(state).sort(([a], [b]) => (a < b ? -1 : 1)))

/**
 * One run: random transactions on a store in memory, a crash, a failing call or a clean stop; what a power cut or a kill
 * may have left of it, in some images with one of the two copies lost or damaged. Each start must come up with what was
 * acknowledged, or with that and the first of what was not; from then on that is what was promised.
 */
export class MetadataRun {
  readonly #random: Random
  readonly #mutation: MetadataMutation
  readonly #isLarge: boolean
  #files: MemoryFs
  #store: LocalMetadataStore
  #acknowledged: State = {}
  /** What the transactions under way would have led to, one after the other. */
  #maybe: State[] = []
  #wasClean = false
  images = 0

  constructor(seed: number, mutation: MetadataMutation = {}) {
    this.#random = new Random(seed)
    this.#mutation = mutation
    this.#isLarge = this.#random.chance(0.1)
    this.#files = new MemoryFs(new Random(seed + 1))
    this.#files.mkdir(DIR)
    this.#files.fsyncDir('/')
    mutation.files?.(this.#files)
    this.#store = this.#open(this.#files)
  }

  #open(files: MemoryFs): LocalMetadataStore {
    const wasClean = this.#mutation.wasClean?.(this.#wasClean) ?? this.#wasClean
    return new LocalMetadataStore(files, DIR, () => wasClean)
  }

  async round(imagesMax: number): Promise<void> {
    const r = this.#random
    const kind = r.next()
    const at = 1 + r.below(r.pick([4, 15, 60]))
    if (kind < 0.5) this.#files.arm({ at, code: 'crash' })
    else if (kind < 0.8) this.#files.arm({ at, code: 'EIO', kind: r.pick(['fdatasync', 'write']) })
    this.#wasClean = false
    const steps = r.below(r.pick([4, 12, 30]))
    for (let i = 0; i < steps && !this.#files.hasCrashed; i++) await this.#transactions()
    if (r.chance(0.3)) await this.#stop()
    const before = this.#files
    const [acknowledged, maybe, isClean] = [this.#acknowledged, this.#maybe, this.#wasClean]
    for (let i = 0; i < imagesMax; i++) {
      this.images++
      this.#acknowledged = acknowledged
      this.#maybe = maybe
      this.#wasClean = isClean
      const image = new Random(r.below(1e9))
      const files = r.chance(0.3) ? before.clone(image) : before.image(image)
      this.#mutation.files?.(files)
      if (r.chance(0.4)) this.#damageOne(files)
      await this.#recover(files)
      this.#files = files
    }
  }

  /** A few that share a flush. */
  async #transactions(): Promise<void> {
    const r = this.#random
    const results = []
    for (let i = 1 + r.below(3); i > 0; i--) {
      const changes = Array.from({ length: 1 + r.below(2) }, (_, k) => ({
        key: `k${k}${r.below(4)}`,
        value: r.chance(0.2) ? null : `${r.below(1e6)}:${'x'.repeat(this.#bytes())}`,
      }))
      this.#maybe.push(applied(this.#maybe.at(-1) ?? this.#acknowledged, changes))
      results.push(this.#store.transact([], changes))
    }
    const settled = await Promise.allSettled(results)
    if (settled.some(({ status }) => status === 'rejected')) return
    this.#acknowledged = this.#maybe.at(-1)!
    this.#maybe = []
  }

  #bytes(): number {
    const r = this.#random
    return r.below(this.#isLarge ? LARGE_VALUE : r.pick([10, 700]))
  }

  async #stop(): Promise<void> {
    if (this.#files.hasCrashed) return
    try {
      await this.#store.close()
    } catch {
      return
    }
    this.#wasClean = !this.#store.hasFailed && !this.#files.hasFailed
  }

  #damageOne(files: MemoryFs): void {
    const r = this.#random
    const path = `${DIR}/${r.pick([...COPIES])}`
    const file = files.peek(path)
    if (file === null) return
    const kind = r.below(3)
    if (kind === 0) {
      files.unlink(path)
    } else if (kind === 1 && file.size > 0) {
      const at = r.below(file.size)
      file.damage(bytes => {
        bytes[at]! ^= 1 << r.below(8)
      })
    } else file.damage(() => {}, r.below(file.size + 1))
  }

  async #recover(files: MemoryFs): Promise<void> {
    try {
      this.#store = this.#open(files)
    } catch (error) {
      throw new Broken(`the start was refused: ${(error as Error).message}`)
    }
    const { entries } = await this.#store.list('')
    const found = Object.fromEntries(entries.map(({ key, value }) => [key, value]))
    const states = [this.#acknowledged, ...this.#maybe]
    if (!states.some(state => textOf(state) === textOf(found))) {
      const text = textOf(found).slice(0, 200)
      throw new Broken(`${text} is neither what was acknowledged nor what was under way`)
    }
    this.#acknowledged = found
    this.#maybe = []
  }
}
