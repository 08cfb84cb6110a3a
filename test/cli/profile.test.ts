import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Wire } from '../apis/wire.ts'
import { addressOf, brokerAndProgram, type Program } from './program.ts'

const test = suite('odradek profile')
let wire: Wire
let cli: Program
let home: string

test.before(async () => {
  ;({ wire, cli } = await brokerAndProgram())
  await wire.createTopic('here')
  home = mkdtempSync(join(tmpdir(), 'odradek-profiles-'))
  cli.env = { XDG_CONFIG_HOME: home }
})
test.after(async () => {
  rmSync(home, { recursive: true })
  await wire.close()
})

const list = ['topic', 'list']

test('a profile says where the cluster is, and -b and --profile go before the one in use', async () => {
  const set = await cli.ok(['profile', 'set', 'good', '-b', addressOf(wire), '--timeout', '5s'])
  assert.is(set, 'profile good is set and in use\n')
  assert.match(await cli.ok(list), /^here /m)
  assert.is(
    await cli.ok(['profile', 'set', 'bad', '-b', '127.0.0.1:1']),
    'profile bad is set; good is in use\n',
  )
  await cli.ok(['profile', 'use', 'bad'])
  await cli.fails(3, /cannot connect to 127\.0\.0\.1:1/, list)
  assert.match(await cli.ok([...list, '--profile', 'good']), /^here /m)
  assert.match(await cli.ok(['--profile', 'good', ...list]), /^here /m)
  assert.match(await cli.ok(list, { env: { ODRADEK_PROFILE: 'good' } }), /^here /m)
  assert.match(await cli.ok([...list, '-b', addressOf(wire)]), /^here /m)
  assert.match(await cli.ok(list, { env: { ODRADEK_BOOTSTRAP: addressOf(wire) } }), /^here /m)
})

test('profiles are listed and deleted', async () => {
  const found = await cli.json(['profile', 'ls'])
  assert.equal(
    found.map((p: Record<string, unknown>) => [p.name, p.timeout, p.current]),
    [
      ['good', '5s', false],
      ['bad', null, true],
    ],
  )
  assert.match(await cli.ok(['profile', 'list']), /\n\* +bad +127\.0\.0\.1:1 +-\n/)
  assert.is(await cli.ok(['profile', 'rm', 'bad']), 'bad deleted\n')
  assert.is((await cli.json(['profile', 'list'])).length, 1)
})

test('what is no profile is said', async () => {
  await cli.fails(2, /there is no profile none: there is good/, [...list, '--profile', 'none'])
  await cli.fails(2, /where is the cluster\? give -b/, ['profile', 'set', 'new'])
  const bad = ['profile', 'set', 'new', '-b', 'bad:port:x']
  await cli.fails(2, /'bad:port:x' is invalid\. It must be HOST:PORT/, bad)
  writeFileSync(join(home, 'odradek/profiles.json'), '{')
  await cli.fails(1, /profiles\.json cannot be read: /, list)
  const folder = ['doctor', '--data', join(home, 'none')]
  const { stderr } = await cli.run(folder)
  assert.not.match(stderr, /profiles\.json/, 'a folder has no cluster')
})

test.run()
