import type { Json } from '../metadata/store.ts'

/** Key of the metadata: whose it is. What has it is a cluster. */
export const CLUSTER = 'cluster'
/** Key of the metadata: the folder whose broker is bringing its own metadata there, and has not come to the end; an Origin. */
export const MIGRATION = 'migration'
const FORMAT = 1

/** A broker cannot be part of this cluster as it is. */
export class ClusterError extends Error {
  override readonly name = 'ClusterError'
}

/** The data folder that a cluster was made of, and how often a broker had started on it: more says that it went on alone. */
export interface Origin {
  readonly dir: string
  readonly starts: number
}

export interface ClusterRecord {
  readonly clusterId: string
  /** Left out: it began empty. */
  readonly from?: Origin
}

export const clusterValue = ({ clusterId, from }: ClusterRecord): Json => ({
  format: FORMAT,
  clusterId,
  ...(from !== undefined && { from: { ...from } }),
})

/** @throws ClusterError */
export function clusterRecordOf(value: unknown, address: string): ClusterRecord {
  const record = value as ClusterRecord & { readonly format?: number }
  if (record.format === FORMAT && typeof record.clusterId === 'string') return record
  throw new ClusterError(
    `The metadata at ${address} is none of a cluster that this release knows (format ${record.format}): use another prefix, or a newer release.`,
  )
}
