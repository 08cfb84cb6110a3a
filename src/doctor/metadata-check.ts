import { join } from 'node:path'
import { COPIES } from '../metadata/copies.ts'
import { LocalMetadataStore } from '../metadata/local.ts'
import {
  encodeLine,
  NO_STATE,
  newHeader,
  readCopy,
  type Transaction,
} from '../metadata/log-file.ts'
import { type FileSystem, readFile, replaceFiles } from '../storage/fs.ts'
import { OverlayFs } from '../storage/overlay-fs.ts'
import { readMeta } from '../topics/identity.ts'
import { dataIn, JOURNALS } from '../topics/inventory.ts'
import type { Findings, Mend } from './finding.ts'
import { madeUpFor, metadataOfFolders } from './metadata-anew.ts'
import { wholeTransactions } from './metadata-lines.ts'

const ABOUT = 'metadata'

/**
 * Looks at both copies of the metadata log. What a crash may leave (a last line that is not all there, one revision less) is no fault
 * unless the last stop was clean.
 */
export function checkMetadata(
  files: FileSystem,
  dir: string,
  isClean: () => boolean,
  findings: Findings,
): void {
  const copies = COPIES.map(name => {
    const path = join(dir, name)
    const bytes = files.exists(path) ? readFile(files, path) : null
    return { name, bytes, content: bytes === null ? null : readCopy(bytes) }
  })
  if (copies.every(({ bytes }) => bytes === null)) {
    if (dataIn(files, dir).length > 0) refusedFor('both copies are missing', files, dir, findings)
    return
  }
  const newest = Math.max(...copies.map(({ content }) => content?.revision ?? NO_STATE))
  const isBelieved = copies.some(
    ({ content }) => content?.revision === newest && content.ending !== 'damaged',
  )
  if (newest === NO_STATE || !isBelieved) {
    checkBothDamaged(files, dir, findings)
    return
  }
  // What is left of it may be a beginning without any change. Before the first topic there are journals only.
  if (newest === 0 && dataIn(files, dir).some(name => name !== JOURNALS)) {
    refusedFor('it is empty', files, dir, findings)
    return
  }
  for (const { name, content } of copies) {
    const about = { about: ABOUT, file: name }
    const repair = 'written anew from the other copy'
    if (content === null) {
      findings.add({ verdict: 'damaged', ...about, problem: 'it is missing', repair }, again(dir))
    } else if (content.ending === 'damaged') {
      const { problem } = content
      findings.add({ verdict: 'damaged', ...about, problem, repair }, again(dir))
    } else if (content.ending === 'torn' || content.revision < newest) {
      const problem =
        content.ending === 'torn' ? 'its last line is not all there' : 'it lacks the last change'
      if (isClean()) findings.add({ verdict: 'damaged', ...about, problem, repair }, again(dir))
      else
        findings.add({ verdict: 'note', ...about, problem: `${problem}: a start writes it anew` })
    }
  }
}

/** What a start does. */
const again = (dir: string): Mend => ({
  key: ABOUT,
  apply: files => void new LocalMetadataStore(files, dir).close(),
})

/** A start is refused. What is whole in either copy is put together. */
function checkBothDamaged(files: FileSystem, dir: string, findings: Findings): void {
  const found = wholeTransactions(files, dir)
  const about = { about: ABOUT, file: COPIES.join(', ') }
  const problem = 'both copies are damaged: a start is refused'
  if (found === null) {
    const worse = `${problem}, and no beginning of it is whole in either`
    findings.add(
      { verdict: 'lost', ...about, problem: worse, ...fromFolders(files, dir) },
      anew(dir),
    )
    return
  }
  const { transactions, missing, isEndKnown } = found
  if (missing.length === 0 && isEndKnown) {
    const repair = 'both are written anew; together they have everything'
    const mend = { key: ABOUT, apply: (to: OverlayFs) => writeAnew(to, dir, transactions) }
    findings.add({ verdict: 'damaged', ...about, problem, repair }, mend)
    return
  }
  const ranges = missing.map(({ from, to }) => `${from} to ${to}`)
  if (!isEndKnown) ranges.push(`${transactions.at(-1)!.revision + 1} and later`)
  const lost = `${problem}; what revisions ${ranges.join(', ')} have changed is in neither`
  const repair =
    'both are written anew without it; topics whose folders are there are made again, and keep everything (retention is off); what was set since is as before'
  const apply = (to: OverlayFs): void =>
    writeAnew(to, dir, [...transactions, madeUpFor(to, dir, transactions)])
  findings.add({ verdict: 'lost', ...about, problem: lost, repair }, { key: ABOUT, apply })
}

/** Of what has no metadata at all. */
function refusedFor(what: string, files: FileSystem, dir: string, findings: Findings): void {
  const about = { about: ABOUT, file: COPIES.join(', ') }
  const problem = `${what}: a start is refused`
  findings.add({ verdict: 'lost', ...about, problem, ...fromFolders(files, dir) }, anew(dir))
}

const fromFolders = (files: FileSystem, dir: string): { repair: string } => ({
  repair: isOurs(files, dir)
    ? 'made again from the folders: their topics, which keep everything (retention is off); all that was set on topics, brokers and groups is lost'
    : 'nothing: meta.properties does not say whose folder this is; restore one of the two from a copy',
})

const isOurs = (files: FileSystem, dir: string): boolean =>
  ['cluster.id', 'node.id', 'directory.id'].every(key => readMeta(files, dir)?.has(key))

const anew = (dir: string): Mend => ({
  key: ABOUT,
  apply: files => {
    const transactions = metadataOfFolders(files, dir)
    if (transactions !== null) writeAnew(files, dir, transactions)
  },
})

function writeAnew(files: OverlayFs, dir: string, transactions: readonly Transaction[]): void {
  const { revision } = transactions.at(-1)!
  const lines = transactions.map(one => encodeLine([one]))
  const content = Buffer.concat([encodeLine(newHeader(revision, lines.length)), ...lines])
  const paths = COPIES.map(name => join(dir, name))
  replaceFiles(files, paths, content)
}

/** The metadata as a start would have it; null if it would be refused. */
export function openMetadata(files: FileSystem, dir: string): LocalMetadataStore | null {
  try {
    return new LocalMetadataStore(new OverlayFs(files, dir), dir)
  } catch {
    return null
  }
}
