import { describeLogDirsApi } from '../../protocol/messages/35-describe-log-dirs.ts'
import type { Cluster } from './cluster.ts'

/** What a broker has of each topic, in all of its folders. */
export async function topicsOn(cluster: Cluster, broker: number) {
  const client = await cluster.broker(broker)
  const { results } = await cluster.send(client, describeLogDirsApi, { topics: null })
  return results.flatMap(dir => dir.topics)
}
