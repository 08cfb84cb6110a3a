import type { Command } from 'commander'
import { describeClusterApi } from '../../protocol/messages/60-describe-cluster.ts'
import { type BrokerMetadata, Cluster } from '../base/cluster.ts'
import { CliError, EXIT, expectNone } from '../base/failure.ts'
import { type ClusterFlags, clusterCommand, examples } from '../base/options.ts'
import { plural, print, table } from '../base/output.ts'
import { defineElect } from './elect.ts'
import { type Finding, fail, findingsText, ok, partitionFindings } from './health.ts'
import { minIsrFinding } from './min-isr.ts'
import { defineMovesCommand } from './moves.ts'
import { defineMoves } from './rebalance.ts'
import { defineStatus } from './status.ts'

export function define(parent: Command): void {
  const infoCommand = clusterCommand(parent, 'info', 'cluster id, controller and brokers')
    .option('--json', 'print JSON')
    .action(info)
  examples(infoCommand, 'odradek cluster info -b 127.0.0.1:9092')
  const healthCommand = clusterCommand(
    parent,
    'health',
    'whether all brokers answer and all partitions are served and written; ends with 1 if not',
  )
    .option('--json', 'print JSON')
    .action(health)
  examples(healthCommand, 'odradek cluster health && echo fine')
  defineStatus(parent)
  defineElect(parent)
  defineMoves(parent)
  defineMovesCommand(parent)
}

async function info(flags: ClusterFlags): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const found = await cluster.send(cluster.any, describeClusterApi, {})
  expectNone(found.errorCode, 'cluster', found.errorMessage)
  const { topics } = await cluster.metadata(null)
  const partitions = topics.reduce((sum, topic) => sum + topic.partitions.length, 0)
  const brokers = found.brokers
    .map(({ brokerId: id, host, port, rack }) => ({ id, host, port, rack }))
    .sort((a, b) => a.id - b.id)
  const value = {
    clusterId: found.clusterId,
    controller: found.controllerId,
    topics: topics.length,
    partitions,
    brokers,
  }
  print(flags.json, value, () => {
    const rows = brokers.map(b => [b.id, b.host, b.port, b.rack])
    const counts = `${plural(topics.length, 'topic')} with ${plural(partitions, 'partition')}`
    return [
      `cluster ${value.clusterId}, controller ${value.controller}, ${counts}`,
      table(['BROKER', 'HOST', 'PORT', 'RACK'], rows),
    ].join('\n')
  })
}

async function health(flags: ClusterFlags): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const { brokers, topics } = await cluster.metadata(null)
  const answers = await Promise.all(brokers.map(broker => answering(cluster, broker)))
  const acks = await minIsrFinding(cluster, topics)
  const findings = [...answers, ...partitionFindings(topics), acks]
  print(flags.json, findings, () => findingsText(findings))
  const bad = findings.filter(finding => finding.verdict !== 'ok').length
  if (bad > 0) throw new CliError(`${bad} of ${findings.length} checks are not well`, EXIT.failed)
}

async function answering(cluster: Cluster, { nodeId }: BrokerMetadata): Promise<Finding> {
  const check = `broker ${nodeId}`
  try {
    await cluster.broker(nodeId)
    return ok(check, 'answers')
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    return fail(check, error.message, 'odradek doctor looks into why')
  }
}
