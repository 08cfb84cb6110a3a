import { nearest } from '../../nearest.ts'
import { ErrorCode, type ErrorName } from '../../protocol/error-codes.ts'
import { type ApiName, apiNames } from '../releases.ts'
import { answerableApis, answers } from './answers.ts'

/** What is to go wrong, where, and how often. */
export interface FaultOptions {
  /** Kafka's name of the API: 'Produce', 'Fetch', 'JoinGroup', ... */
  readonly api: ApiName
  /** Only what concerns this topic; the rest of the request is handled as ever. */
  readonly topic?: string
  /** Only this partition of `topic`. */
  readonly partition?: number
  /** Answer with this error, by Kafka's name, instead of doing anything. */
  readonly error?: ErrorName
  /** ms for which the request, and all after it on its connection, have to wait first. */
  readonly delay?: number
  /** Close the connection: before the request is handled ('request', or true), or instead of its answer ('answer'). */
  readonly drop?: boolean | 'request' | 'answer'
  /** For so many requests, then never again; 1 by default, Infinity until it is removed. */
  readonly times?: number
}

/** A fault in place. */
export interface Fault extends Disposable {
  /** Requests that it has hit. */
  readonly hits: number
  /** Takes it away. */
  remove(): void
}

/**
 * A fault, checked, with how often it may still strike.
 * @internal
 */
export interface Armed {
  readonly api: ApiName
  readonly topic: string | undefined
  readonly partition: number | undefined
  readonly errorCode: ErrorCode | undefined
  readonly delay: number
  readonly drop: 'request' | 'answer' | undefined
  left: number
  hits: number
}

/**
 * @throws RangeError that says what is allowed
 * @internal
 */
export function arm(options: FaultOptions): Armed {
  const { api, topic, partition, error, delay = 0, drop = false, times = 1 } = options
  if (!apiNames.includes(api)) refuse(`There is no API '${api}'; ${hintAt(api, apiNames)}.`)
  if (error !== undefined && !isError(error)) {
    const names = Object.keys(ErrorCode).filter(isError)
    refuse(`Kafka has no error '${error}'; ${hintAt(error, names, 'NOT_LEADER_OR_FOLLOWER')}.`)
  }
  if (error !== undefined && answers[api] === undefined) {
    refuse(`${api} cannot be answered with an error; ${answerableApis().join(', ')} can.`)
  }
  checkPlace(api, topic, partition)
  if (error === undefined && drop === false && delay === 0) {
    refuse('A fault needs an error, a delay or a drop.')
  }
  if (error !== undefined && drop !== false) {
    refuse('A request that is dropped gets no error: give one of both.')
  }
  if (!(delay >= 0 && Number.isFinite(delay))) refuse(`delay is in ms and 0 or more, not ${delay}.`)
  if (!(times === Number.POSITIVE_INFINITY || (Number.isInteger(times) && times > 0))) {
    refuse(`times is a whole number above 0, or Infinity, not ${times}.`)
  }
  const errorCode = error === undefined ? undefined : ErrorCode[error]
  const dropped = drop === false ? undefined : drop === true ? 'request' : drop
  return { api, topic, partition, errorCode, delay, drop: dropped, left: times, hits: 0 }
}

function checkPlace(api: ApiName, topic: string | undefined, partition: number | undefined): void {
  const scope = answers[api]?.scope ?? 'request'
  const withTopic = answerableApis(({ scope }) => scope !== 'request').join(', ')
  if (topic !== undefined && scope === 'request') {
    refuse(`A ${api} request cannot be told by its topic; ${withTopic} can.`)
  }
  if (partition === undefined) return
  if (topic === undefined) refuse('With a partition goes the topic that it belongs to.')
  if (scope !== 'partition') {
    const able = answerableApis(({ scope }) => scope === 'partition').join(', ')
    refuse(`A ${api} request cannot be told by its partition; ${able} can.`)
  }
}

/** NONE is no error: it would be an answer of nothing. */
const isError = (name: string): boolean => name !== 'NONE' && Object.hasOwn(ErrorCode, name)

/** The nearest name, whatever its case, else an example or all there are. */
function hintAt(wrong: unknown, names: readonly string[], example?: string): string {
  const near =
    typeof wrong === 'string'
      ? (names.find(name => name.toLowerCase() === wrong.toLowerCase()) ?? nearest(wrong, names))
      : undefined
  if (near !== undefined) return `did you mean '${near}'`
  return example === undefined
    ? `there is ${names.join(', ')}`
    : `an example of one is '${example}'`
}

function refuse(message: string): never {
  throw new RangeError(message)
}
