import type { Client } from '../../src/client/client.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'

const TIMEOUT_MS = 30_000

/** Appends a batch. @throws Error with the code, if it is refused */
export async function produceOne(
  client: Client,
  name: string,
  index: number,
  records: Buffer,
  acks: 1 | -1 = -1,
): Promise<void> {
  const topicData = [{ name, partitionData: [{ index, records }] }]
  const answer = await client.send(produceApi, 9, { acks, timeoutMs: TIMEOUT_MS, topicData })
  const code = answer.responses[0]?.partitionResponses[0]?.errorCode
  if (code !== 0) throw new Error(`produce answered error code ${code}`)
}
