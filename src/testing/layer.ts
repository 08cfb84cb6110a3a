import type { ApiHandler, ApiTable, Outcome, RequestContext } from '../apis/handler.ts'
import { CLOSE } from '../apis/handler.ts'

export type Result = Outcome<never> | Promise<Outcome<never>>

/** The same APIs, each with something around its handler. */
export function aroundEach(apis: ApiTable, around: (handler: ApiHandler) => ApiHandler): ApiTable {
  const entries = Object.entries(apis).map(([key, api]) => [key, api && around(api)])
  return Object.fromEntries(entries)
}

/**
 * The connection is held until the request is begun: it stays in its order, and views on its records stay valid.
 * @param wait rejects if the client has gone
 */
export function held(wait: Promise<unknown>, context: RequestContext, act: () => Result): Result {
  let outcome: Result = CLOSE
  const run = async (): Promise<Outcome<never>> => act()
  const begun = wait.then(
    () => {
      outcome = run()
    },
    // The client has gone: nobody waits for an answer.
    () => {},
  )
  context.hold(begun)
  return begun.then(() => outcome)
}
