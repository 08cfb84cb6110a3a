import { setTimeout as sleep } from 'node:timers/promises'
import type { Body } from '../../apis/error-answers.ts'
import type { Outcome, RequestContext } from '../../apis/handler.ts'
import { type ApiHandler, type ApiTable, CLOSE, NO_ANSWER } from '../../apis/handler.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import { aroundEach, held, type Result } from '../layer.ts'
import type { ApiName } from '../releases.ts'
import { answers, type Split, type Strike, strikeOf } from './answers.ts'
import { type Armed, arm, type Fault, type FaultOptions } from './fault.ts'

type Handle = (request: Body) => Result

/** The faults in place. They sit in the API table, between the connections and the handlers. */
export class Faults {
  readonly #armed = new Map<ApiName, Armed[]>()

  /** @throws RangeError */
  add(options: FaultOptions): Fault {
    const fault = arm(options)
    const others = this.#armed.get(fault.api)
    if (others === undefined) this.#armed.set(fault.api, [fault])
    else others.push(fault)
    const remove = (): void => this.#remove(fault)
    return {
      get hits() {
        return fault.hits
      },
      remove,
      [Symbol.dispose]: remove,
    }
  }

  clear(): void {
    for (const fault of [...this.#armed.values()].flat()) this.#remove(fault)
  }

  #remove(fault: Armed): void {
    // Also for requests that are waiting for their answer to be rewritten.
    fault.left = 0
    const left = (this.#armed.get(fault.api) ?? []).filter(other => other !== fault)
    if (left.length === 0) this.#armed.delete(fault.api)
    else this.#armed.set(fault.api, left)
  }

  /** The same APIs, with the faults that there are and will be. */
  around(apis: ApiTable): ApiTable {
    return aroundEach(apis, api => this.#around(api))
  }

  #around(handler: ApiHandler): ApiHandler {
    const name = handler.request.name.replace(/Request$/, '') as ApiName
    return {
      ...handler,
      handle: (request, context) => {
        const handle: Handle = changed => handler.handle(changed as never, context)
        const armed = this.#armed.get(name)
        return armed === undefined ? handle(request) : this.#handle(armed, request, context, handle)
      },
    }
  }

  #handle(armed: readonly Armed[], request: Body, context: RequestContext, handle: Handle): Result {
    if (armed[0]!.api === 'Fetch') {
      if (isOfSession(request)) return withoutSession()
      request = sessionless(request)
    }
    for (const fault of armed) {
      const answer = answers[fault.api]
      const strike = strikeOf(fault, context)
      if (answer?.rewrite !== undefined && fault.errorCode !== undefined) {
        return this.#rewritten(fault, request, context, handle)
      }
      const split = answer?.split?.(request, strike)
      if (split === null) continue
      if (fault.topic !== undefined && answer?.rewrite !== undefined) {
        if (!namesTopic(request, strike)) continue
      }
      this.#hit(fault)
      const act = (): Result => {
        if (fault.errorCode !== undefined) return failed(request, split!, handle)
        if (fault.drop === 'request') return CLOSE
        return fault.drop === 'answer' ? unanswered(handle(request)) : handle(request)
      }
      return fault.delay === 0 ? act() : delayed(fault.delay, context, act)
    }
    return handle(request)
  }

  /** The errors are known to concern the request only when its answer is there. */
  #rewritten(fault: Armed, request: Body, context: RequestContext, handle: Handle): Result {
    const act = async (): Promise<Outcome<never>> => {
      const outcome = await handle(request)
      if (typeof outcome === 'symbol' || fault.left === 0) return outcome
      const { rewrite } = answers[fault.api]!
      const body = rewrite!(outcome.body, strikeOf(fault, context))
      if (body === null) return outcome
      this.#hit(fault)
      return { ...outcome, body: body as never }
    }
    return fault.delay === 0 ? act() : delayed(fault.delay, context, act)
  }

  #hit(fault: Armed): void {
    fault.hits++
    fault.left--
    if (fault.left === 0) this.#remove(fault)
  }
}

/** Handles what is left of the request, and answers the rest with the error. */
async function failed(request: Body, split: Split, handle: Handle): Promise<Outcome<never>> {
  const outcome = split.rest === null ? null : await handle(split.rest)
  // Without an answer to put the error into, a broker closes the connection.
  if (outcome === NO_ANSWER || outcome === CLOSE || request.acks === 0) return CLOSE
  return { ...outcome, body: split.complete(outcome?.body ?? null) as never }
}

async function unanswered(result: Result): Promise<typeof CLOSE> {
  const outcome = await result
  if (typeof outcome !== 'symbol') outcome.onSent?.()
  return CLOSE
}

const delayed = (ms: number, context: RequestContext, act: () => Result): Result =>
  held(sleep(ms, undefined, { signal: context.gone }), context, act)

// A fetch session lists only what has changed, so a fault could not be told what a request is about: while there is a fault
// for Fetch, clients are sent back to whole requests (KIP-227 has them do so at this error).

function isOfSession({ sessionEpoch }: Body): boolean {
  return (sessionEpoch as number) > 0
}

function withoutSession(): Outcome<never> {
  const errorCode = ErrorCode.FETCH_SESSION_ID_NOT_FOUND
  return { body: { errorCode, sessionId: 0, responses: [] } as never }
}

function sessionless(request: Body): Body {
  return { ...request, sessionId: 0, sessionEpoch: -1 }
}

function namesTopic({ topics }: Body, strike: Strike): boolean {
  return topics === null || (topics as Body[]).some(t => strike.isTopic(t.name, t.topicId))
}
