import type { Logger } from 'pino'
import { BrokerNode } from '../broker.ts'
import { InvalidOption, ListenError } from '../errors.ts'
import { MetadataCorrupt } from '../metadata/copies.ts'
import { DataDirError } from '../topics/data-dir.ts'

/** A stop that takes longer ends the process: what is not flushed by then is recovered at the next start. */
const STOP_MS_MAX = 5_000

const DEFAULTS = { listeners: 'PLAINTEXT://127.0.0.1:9092', 'log.dirs': './data' }

/** Runs a broker until SIGTERM or SIGINT. Ends the process with code 1 and one line if it cannot start. */
export async function start(
  flags: { config?: string; override: string[] },
  version: string,
): Promise<void> {
  // Loaded while the broker's threads start.
  const logger = makeLogger()
  try {
    const broker = await BrokerNode.start(
      {
        defaults: DEFAULTS,
        env: process.env,
        overrides: flags.override,
        ...(flags.config === undefined ? {} : { file: flags.config }),
      },
      logger,
    )
    const log = await logger
    // Before the line that says it is ready: whoever waits for that may send a signal at once.
    stopOn(broker, ['SIGTERM', 'SIGINT'], log)
    const durability = describeDurability(broker)
    const ms = Math.round(performance.now())
    const address = broker.bound.join(',')
    log.info(
      { address, data: broker.dataDir, durability, version, ms, clusterId: broker.clusterId },
      `odradek ${version} is ready on ${address} after ${ms} ms; data in ${broker.dataDir}; ${durability}`,
    )
  } catch (error) {
    const log = await logger
    const isOperators =
      error instanceof InvalidOption ||
      error instanceof DataDirError ||
      error instanceof MetadataCorrupt ||
      error instanceof ListenError
    if (isOperators) log.fatal({}, error.message)
    else log.fatal({ err: error }, `odradek cannot start: ${(error as Error).message}`)
    process.exitCode = 1
  }
}

async function makeLogger(): Promise<Logger> {
  const { default: pino } = await import('pino')
  const asked = process.env.LOG_LEVEL ?? 'info'
  const known = asked === 'silent' || asked in pino.levels.values
  const log = pino({ name: 'odradek', level: known ? asked : 'info', base: undefined })
  if (!known) {
    const allowed = [...Object.keys(pino.levels.values), 'silent'].join(', ')
    log.warn({}, `LOG_LEVEL=${asked} is unknown, info is used; ${allowed} are allowed`)
  }
  return log
}

function describeDurability(broker: BrokerNode): string {
  const { logFlushIntervalMessages } = broker.options.settings
  return Number(logFlushIntervalMessages ?? 1) === 1
    ? 'records are acknowledged after they are flushed to disk'
    : 'records are acknowledged before they are flushed (log.flush.interval.messages)'
}

function stopOn(broker: BrokerNode, signals: NodeJS.Signals[], log: typeof broker.log): void {
  let stopping = false
  for (const signal of signals) {
    process.on(signal, async () => {
      if (stopping) return
      stopping = true
      log.info({ signal }, 'stopping')
      setTimeout(() => process.exit(1), STOP_MS_MAX).unref()
      try {
        await broker.close()
        log.info({ signal }, 'stopped')
        process.exit(0)
      } catch (err) {
        log.fatal({ err }, `the stop failed: ${(err as Error).message}`)
        process.exit(1)
      }
    })
  }
}
