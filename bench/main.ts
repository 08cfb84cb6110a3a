import { parseArgs } from 'node:util'
import { benches } from './all.ts'
import { format, machine, type Row, writeJson } from './harness.ts'

/** npm run bench [-- NAME ...] [--json FILE] [--tiny]: prints a table, writes JSON. */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'string', default: 'bench-results.json' },
    tiny: { type: 'boolean', default: false },
  },
})
const names = positionals.length > 0 ? positionals : Object.keys(benches)
const unknown = names.filter(name => benches[name] === undefined)
if (unknown.length > 0) {
  process.stderr.write(
    `No bench ${unknown.join(', ')}; there are ${Object.keys(benches).join(', ')}.\n`,
  )
  process.exit(1)
}
process.stdout.write(`${JSON.stringify(machine())}\n`)
const rows: Row[] = []
for (const name of names) {
  const measured = await benches[name]!({ tiny: values.tiny })
  process.stdout.write(format(measured))
  rows.push(...measured)
}
writeJson(values.json, rows)
process.stdout.write(`written to ${values.json}\n`)
