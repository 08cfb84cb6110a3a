import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import {
  type ConfigValues,
  type Definitions,
  definitionOf,
  didYouMean,
  int,
  list,
  problemWith,
  splitList,
} from './definition.ts'
import { textOf } from './values.ts'

const INTERVAL_MS_MIN = 100
const INTERVAL_MS_MAX = 3_600_000
/** Kafka has no such bound, but each pattern is compiled to see whether it is one. */
const MATCHES_MAX = 16
const MATCH_KEYS: ReadonlySet<string> = new Set([
  'client_id',
  'client_instance_id',
  'client_software_name',
  'client_software_version',
  'client_source_address',
  'client_source_port',
])

const idle = (what: string) => `${what} No effect here: no metrics of clients are collected.`

/** Configs of one subscription of client metrics (KIP-714). They are kept for tools that set them; nothing is collected. */
export const clientMetricsConfigs = {
  'interval.ms': int(300_000, {}, idle('Milliseconds between two pushes of a client.')),
  match: list('', idle('Which clients, as KEY=REGEX entries; empty: all.'), {
    allowed: `a list of at most ${MATCHES_MAX} KEY=REGEX entries, with the keys ${[...MATCH_KEYS].join(', ')}`,
    check: entries =>
      entries.length <= MATCHES_MAX && entries.every(entry => matchOf(entry) !== undefined),
  }),
  metrics: list('', idle('Prefixes of the metrics that are wanted; * for all.')),
}

/** The pattern of a KEY=REGEX entry. */
function matchOf(entry: string): string | undefined {
  const [key, pattern, ...more] = entry.split('=').map(part => part.trim())
  return MATCH_KEYS.has(key!) && pattern !== '' && more.length === 0 ? pattern : undefined
}

/** The patterns in a subscription that has passed its check. They are RE2's: Java has a few constructs more. */
export function matchPatterns(values: ConfigValues): string[] {
  return splitList(textOf(values, 'match') ?? '').map(entry => matchOf(entry)!)
}

/** @throws BrokerError INVALID_CONFIG or, as Kafka has it for names and the interval's range, INVALID_REQUEST */
export function checkClientMetrics(values: ConfigValues): void {
  const definitions: Definitions = clientMetricsConfigs
  for (const [name, text] of Object.entries(values)) {
    const definition = definitionOf(definitions, name)
    if (definition === undefined) {
      const message = `Unknown config of client metrics ${name}${didYouMean(name, definitions)}`
      throw new BrokerError(ErrorCode.INVALID_REQUEST, message)
    }
    const problem = problemWith(name, definition, text)
    if (problem !== null) throw new BrokerError(ErrorCode.INVALID_CONFIG, problem)
  }
  const interval = Number(textOf(values, 'interval.ms') ?? INTERVAL_MS_MIN)
  if (interval >= INTERVAL_MS_MIN && interval <= INTERVAL_MS_MAX) return
  const allowed = `from ${INTERVAL_MS_MIN} to ${INTERVAL_MS_MAX}, in ms`
  const message = `Invalid value ${interval} for interval.ms: it must be ${allowed}.`
  throw new BrokerError(ErrorCode.INVALID_REQUEST, message)
}
