import type { TopicMetadata } from '../base/cluster.ts'
import { paint } from '../base/output.ts'

/** `skip`: it could not be looked at, which is no fault. */
export type Verdict = 'ok' | 'skip' | 'warn' | 'fail'

/** What was looked at, what was found, and what to do about it. */
export interface Finding {
  readonly check: string
  readonly verdict: Verdict
  readonly found: string
  readonly advice: string | null
}

const COLOURS = { ok: 'green', skip: 'bold', warn: 'yellow', fail: 'red' } as const

export const ok = (check: string, found: string): Finding => ({
  check,
  verdict: 'ok',
  found,
  advice: null,
})
export const skip = (check: string, found: string): Finding => ({
  check,
  verdict: 'skip',
  found,
  advice: null,
})
export const warn = (check: string, found: string, advice: string): Finding => ({
  check,
  verdict: 'warn',
  found,
  advice,
})
export const fail = (check: string, found: string, advice: string): Finding => ({
  check,
  verdict: 'fail',
  found,
  advice,
})

/** One line a finding; what to do below those that are not well. */
export function findingsText(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(f => f.check.length))
  return findings
    .map(({ check, verdict, found, advice }) => {
      const line = `${paint(COLOURS[verdict], verdict.padEnd(4))}  ${check.padEnd(width)}  ${found}`
      return advice === null ? line : `${line}\n      ${' '.repeat(width)}  -> ${advice}`
    })
    .join('\n')
}

/** At most so many are named in one finding. */
const NAMED_MAX = 5

/** Partitions without a leader, and those with fewer replicas in sync than they have. */
export function partitionFindings(topics: readonly TopicMetadata[]): Finding[] {
  const all = topics.flatMap(({ name, partitions }) =>
    partitions.map(p => ({ id: `${name}-${p.partitionIndex}`, p })),
  )
  const offline = all.filter(({ p }) => p.leaderId < 0).map(({ id }) => id)
  const behind = all
    .filter(({ p }) => p.leaderId >= 0 && p.isrNodes.length < p.replicaNodes.length)
    .map(({ id }) => id)
  const online =
    offline.length === 0
      ? ok('partitions online', `all ${all.length} have a leader`)
      : fail(
          'partitions online',
          `${offline.length} of ${all.length} have no leader: ${named(offline)}`,
          'look into the log of the brokers that hold them: it says why a partition is offline',
        )
  const inSync =
    behind.length === 0
      ? ok('replicas in sync', 'all')
      : warn(
          'replicas in sync',
          `${behind.length} of ${all.length} are under-replicated: ${named(behind)}`,
          'see whether a broker is down (odradek cluster info) or slow to follow',
        )
  return [online, inSync]
}

/** The first of them, and how many more there are. */
export function named(ids: readonly string[]): string {
  const more = ids.length - NAMED_MAX
  return `${ids.slice(0, NAMED_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
