import { setFlagsFromString } from 'node:v8'
import { BrokerNode } from '../broker.ts'
import { addressOf } from '../endpoint.ts'
import { InvalidOption, ListenError } from '../errors.ts'
import { MetadataCorrupt } from '../metadata/copies.ts'
import { DataDirError } from '../topics/data-dir.ts'
import type { BrokerFlags } from './base/broker-flags.ts'
import { sourcesOf } from './base/broker-options.ts'
import { makeLogger } from './logger.ts'

/** A stop that takes longer ends the process: what is not flushed by then is recovered at the next start. */
const STOP_MS_MAX = 5_000

/** `npm start` and `npx odradek`. Not any script: it may well start a broker that is to outlive it. */
const NPM_RUNS = ['start', 'npx']
const PARENT = process.ppid
const PARENT_CHECK_MS = 250

/**
 * By how much of what is alive V8 lets the heap grow before all of it is collected again. By itself V8 waits for up to four times
 * as much: with 60,000 groups, 400 MB of garbage, which nobody collects either once the clients are gone.
 */
const HEAP_GROWING_PERCENT = 100

/** Names of errors that say what is wrong with the metadata of a cluster: their code is not loaded without one. */
const OF_A_CLUSTER = ['InvalidMetadataUrl', 'ClusterError', 'BrokerError']

/** Runs a broker until SIGTERM, SIGINT or SIGHUP. Ends the process with code 1 and one line if it cannot start. */
export async function start(flags: BrokerFlags, version: string): Promise<void> {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`)
  // Loaded while the broker's threads start.
  const logger = makeLogger()
  try {
    const broker = await BrokerNode.start(sourcesOf(flags), logger)
    const log = await logger
    // Before the line that says it is ready: whoever waits for that may send a signal at once.
    stopOn(broker, ['SIGTERM', 'SIGINT', 'SIGHUP'], log)
    if (!broker.wasClean) {
      log.info({}, 'the last stop was no clean one: the logs were checked and recovered')
    }
    const durability = describeDurability(broker)
    const ms = Math.round(performance.now())
    const address = broker.bound.join(',')
    log.info(
      { address, data: broker.dataDir, durability, version, ms, clusterId: broker.clusterId },
      `odradek ${version} is ready on ${address} after ${ms} ms; ${describeAdvertised(broker)}data in ${broker.dataDir}; ${durability}`,
    )
    if (process.stdout.isTTY) log.info({}, describeNext(broker))
  } catch (error) {
    const log = await logger
    const { name, message } = error as Error
    const isOperators =
      error instanceof InvalidOption ||
      error instanceof DataDirError ||
      error instanceof MetadataCorrupt ||
      error instanceof ListenError ||
      OF_A_CLUSTER.includes(name)
    if (isOperators) log.fatal({}, message)
    else log.fatal({ err: error }, `odradek cannot start: ${message}`)
    process.exitCode = 1
  }
}

function describeDurability(broker: BrokerNode): string {
  const { logFlushIntervalMessages } = broker.options.settings
  return Number(logFlushIntervalMessages ?? 1) === 1
    ? 'records are acknowledged after they are flushed to disk'
    : 'records are acknowledged before they are flushed (log.flush.interval.messages)'
}

/** Where clients are sent, if that is not where it listens. */
function describeAdvertised(broker: BrokerNode): string {
  const sent = broker.options.listeners.map(({ name }) => {
    return `${name}://${addressOf(broker.endpoint(name))}`
  })
  if (sent.every(address => broker.bound.includes(address))) return ''
  return `clients are sent to ${sent.join(',')} (advertised.listeners); `
}

/** For somebody who sits before it. */
function describeNext(broker: BrokerNode): string {
  const address = addressOf(broker.endpoint(broker.options.listeners[0]!.name))
  return `next, from another terminal: any Kafka client, or odradek topic list -b ${address}; Ctrl-C stops`
}

type ProgramLogger = Awaited<ReturnType<typeof makeLogger>>

/** Stops the broker at the first of these, and ends the process. */
function stopOn(broker: BrokerNode, signals: NodeJS.Signals[], log: ProgramLogger): void {
  let stopping = false
  const stop = async (reason: string): Promise<void> => {
    if (stopping) return
    stopping = true
    log.info({ reason }, `stopping: ${reason}`)
    // In a cluster what it leads is handed over first.
    const bound = STOP_MS_MAX + (broker.node?.drainMsMax ?? 0)
    setTimeout(() => process.exit(1), bound).unref()
    try {
      await broker.close()
      log.info({ reason }, 'stopped')
      process.exit(0)
    } catch (err) {
      log.fatal({ err }, `the stop failed: ${(err as Error).message}`)
      process.exit(1)
    }
  }
  for (const signal of signals) process.on(signal, () => void stop(signal))
  if (NPM_RUNS.includes(process.env.npm_lifecycle_event ?? '')) {
    onOrphaned(() => void stop('npm, which started this broker, has ended'))
  }
}

/**
 * npm passes a signal on to the shell that it runs a script in, and no shell passes it on: what tells the script is that it
 * has lost its parent.
 */
function onOrphaned(action: () => void): void {
  setInterval(() => {
    if (process.ppid !== PARENT) action()
  }, PARENT_CHECK_MS).unref()
}
