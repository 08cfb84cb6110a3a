import type { LocalMetadataStore } from '../metadata/local.ts'
import type { FileSystem } from '../storage/fs.ts'
import { IDENTITY } from '../topics/data-dir.ts'
import { type Identity, readMeta, writeMeta } from '../topics/identity.ts'
import { META } from '../topics/inventory.ts'
import type { Findings } from './finding.ts'

/** What the metadata says of whose folder this is, or what meta.properties says. */
export function nodeIdOf(files: FileSystem, dir: string, store: LocalMetadataStore | null): number {
  const identity = store?.peek(IDENTITY) as unknown as Identity | null
  return identity?.nodeId ?? Number(readMeta(files, dir)?.get('node.id') ?? 1)
}

/** Compares meta.properties with its copy in the metadata. */
export function checkIdentity(
  files: FileSystem,
  dir: string,
  store: LocalMetadataStore,
  findings: Findings,
): void {
  const identity = store.peek(IDENTITY) as unknown as Identity | null
  if (identity === null) return
  const meta = readMeta(files, dir)
  const expected = {
    version: '1',
    'cluster.id': identity.clusterId,
    'node.id': String(identity.nodeId),
    'directory.id': identity.directoryId,
  }
  const wrong = Object.entries(expected).filter(([key, value]) => meta?.get(key) !== value)
  if (wrong.length === 0) return
  const says = wrong.map(([key, value]) => `${key}=${meta?.get(key) ?? ''} for ${value}`)
  // Much that differs is no damage: then one of the two was put there from elsewhere.
  const isElsewhere = meta !== null && wrong.some(([key, value]) => isOther(meta.get(key), value))
  const problem =
    meta === null ? 'it is missing' : `it does not say what the metadata says: ${says.join(', ')}`
  const finding = { verdict: 'damaged' as const, about: 'identity', file: META, problem }
  if (isElsewhere) {
    const repair = 'nothing: see which of the two is from elsewhere, and put back the right one'
    findings.add({ ...finding, repair })
    return
  }
  const mend = { key: META, apply: (to: FileSystem) => writeMeta(to, dir, identity) }
  findings.add({ ...finding, repair: 'written anew from the metadata' }, mend)
}

/** Whether it is another value, and not the same with a letter that is damaged. */
function isOther(found: string | undefined, expected: string): boolean {
  if (found === undefined) return false
  return [...expected].filter((letter, i) => found[i] !== letter).length > 1
}
