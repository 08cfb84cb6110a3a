/** A process of its own that attacks: `attacker.ts PORT MS NAME`. Prints a line when it begins. */
import { attacks } from './attacks.ts'

const [port, ms, name] = process.argv.slice(2)
const attack = attacks[name!]
if (attack === undefined) throw new Error(`there is no attack '${name}'`)
const over = new AbortController()
setTimeout(() => over.abort(), Number(ms))
// An attack may still wait for an answer: the process ends with it.
setTimeout(() => process.exit(0), Number(ms) + 1_000).unref()
console.log('attacking')
await attack({ port: Number(port), signal: over.signal })
