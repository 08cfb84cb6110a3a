import { join } from 'node:path'
import { type FileSystem, readFile, replaceFile } from '../storage/fs.ts'
import { META } from './inventory.ts'

/** The data folder cannot be used: one sentence that says why and what to do. */
export class DataDirError extends Error {
  override readonly name = 'DataDirError'
}

/** What meta.properties says. */
export interface Identity {
  readonly clusterId: string
  readonly nodeId: number
  readonly directoryId: string
}

export function readMeta(files: FileSystem, dir: string): Map<string, string> | null {
  const path = join(dir, META)
  if (!files.exists(path)) return null
  const entries = readFile(files, path)
    .toString('utf8')
    .split('\n')
    .filter(line => line.includes('=') && !line.startsWith('#'))
    .map(
      line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1).trim()] as const,
    )
  return new Map(entries)
}

export function checkMeta(
  dir: string,
  meta: Map<string, string> | null,
  nodeId: number,
  clusterId: string | null,
): void {
  const node = meta?.get('node.id')
  checkIdentity(dir, meta?.get('cluster.id') ?? null, Number(node ?? nodeId), nodeId, clusterId)
}

export function checkIdentity(
  dir: string,
  foundCluster: string | null,
  foundNode: number,
  nodeId: number,
  clusterId: string | null,
): void {
  if (foundCluster !== null && clusterId !== null && foundCluster !== clusterId) {
    throw new DataDirError(
      `The data folder ${dir} belongs to cluster ${foundCluster}, but this broker is of cluster ${clusterId}: use another log.dirs.`,
    )
  }
  if (foundNode !== nodeId) {
    throw new DataDirError(
      `The data folder ${dir} belongs to node ${foundNode}, but this broker has node.id ${nodeId}: use another log.dirs or that node.id.`,
    )
  }
}

export function writeMeta(
  files: FileSystem,
  dir: string,
  { clusterId, nodeId, directoryId }: Identity,
): void {
  const lines = [
    'version=1',
    `cluster.id=${clusterId}`,
    `node.id=${nodeId}`,
    `directory.id=${directoryId}`,
    '',
  ]
  replaceFile(files, join(dir, META), Buffer.from(lines.join('\n')))
}
