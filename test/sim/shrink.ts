import { type Options, type Result, Simulation } from './simulation.ts'

/** Leaves out faults as long as the seed still breaks the same rule. */
export function shrink(seed: number, found: Result, options: Options = {}): Result {
  const rule = (text: string | null): string => (text ?? '').split(':')[0]!
  let least = found
  for (let at = least.faults.length - 1; at >= 0; at--) {
    const faults = least.faults.filter((_, i) => i !== at)
    const result = new Simulation(seed, { ...options, faults }).run()
    if (result.violation !== null && rule(result.violation) === rule(found.violation))
      least = result
    at = Math.min(at, least.faults.length)
  }
  return least
}
