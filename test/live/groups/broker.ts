import { BrokerProcess } from '../../lib/broker-process.ts'

/** So that the tests need not wait: no delay before the first assignment, short heartbeats and sessions allowed. */
const OVERRIDES = [
  'group.initial.rebalance.delay.ms=0',
  'group.consumer.heartbeat.interval.ms=500',
  'group.consumer.min.heartbeat.interval.ms=500',
  'group.consumer.min.session.timeout.ms=6000',
]

/**
 * The broker that the tests of groups run against: one of ours in a process of its own, or the one at KAFKA_ADDRESS, to
 * compare with. That must be on 127.0.0.1, have the same overrides and no other groups.
 */
export class GroupBroker {
  readonly address: string
  readonly #process: BrokerProcess | undefined

  private constructor(address: string, process: BrokerProcess | undefined) {
    this.address = address
    this.#process = process
  }

  static async start(): Promise<GroupBroker> {
    const address = process.env.KAFKA_ADDRESS
    if (address !== undefined) return new GroupBroker(address, undefined)
    const started = await BrokerProcess.start({ overrides: OVERRIDES })
    return new GroupBroker(started.address, started)
  }

  async close(): Promise<void> {
    await this.#process?.remove()
  }
}
