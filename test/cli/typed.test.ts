import { once } from 'node:events'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Wire } from '../apis/wire.ts'
import { brokerAndProgram, type Program } from './program.ts'

const test = suite('odradek topic produce on a terminal')
let wire: Wire
let cli: Program

test.before(async () => {
  ;({ wire, cli } = await brokerAndProgram())
})
test.after(() => wire.close())

test('no counter is drawn over what is typed, and the end says how many records there were', async () => {
  await wire.createTopic('typed')
  const terminal = cli.spawnOnTerminal(['topic', 'produce', 'typed'])
  let shown = ''
  terminal.stdout.on('data', (chunk: Buffer) => {
    shown += chunk
    if (/ctrl-d on an empty one ends\r?\n$/.test(shown)) terminal.stdin.write('one\ntwo\n\x04')
  })
  const [code] = await once(terminal, 'close')
  assert.is(code, 0, shown)
  assert.not.ok(shown.includes('\x1b[K'), shown)
  assert.match(shown, /2 records acknowledged/)
  assert.is(await cli.ok(['topic', 'consume', 'typed', '-e']), 'one\ntwo\n')
})

test.run()
