/**
 * Produce (0), versions 3-13; 0-2 are advertised and refused, as Kafka does for old librdkafka (KAFKA-18659).
 *
 * acks=1 and acks=all answer when the batch is as durable as its topic asks: by default, flushed. acks=0 gets no answer;
 * if a partition fails, the connection is closed so that the client looks around anew.
 * Deviations from Kafka: batches are opened only for compacted topics, to see that all records have keys (record timestamps
 * and counts inside are the client's word), so compression.type never leads to recompression, and maxTimestamp is taken as sent.
 */
import { ErrorCode } from '../protocol/error-codes.ts'
import { produceApi, type produceResponse } from '../protocol/messages/00-produce.ts'
import type { Encodable } from '../protocol/schema.ts'
import { CLOSE, defineApi, NO_ANSWER, type Outcome } from './handler.ts'
import { ProduceCall, Submission } from './produce-submission.ts'

type Response = Encodable<typeof produceResponse>

export const produce = defineApi(
  produceApi,
  (request, context) => {
    const call = new ProduceCall(request)
    const submission = new Submission(request, context, call)
    const wait = submission.advance()
    if (wait === null) return call.done().then(() => answer(request.acks, submission))
    const submitted = submission.finish(wait)
    context.hold(submitted)
    return submitted.then(() => call.done()).then(() => answer(request.acks, submission))
  },
  { sideBySide: true },
)

function answer(acks: number, submission: Submission): Outcome<Response> {
  const { answers: responses, hints } = submission
  if (acks !== 0) return { body: { responses, nodeEndpoints: hints.endpoints } }
  const failed = responses.some(t => t.partitionResponses.some(p => p.errorCode !== ErrorCode.NONE))
  return failed ? CLOSE : NO_ANSWER
}
