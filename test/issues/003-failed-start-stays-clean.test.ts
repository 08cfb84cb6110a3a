import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerNode } from '../../src/broker.ts'
import { ListenError } from '../../src/errors.ts'

const test = suite('a start that fails at its listener')

test('leaves the data folder as clean as it was, and unlocked', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'odradek-issue-'))
  const marker = join(dir, '.kafka_cleanshutdown')
  const taken = createServer()
  await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as { port: number }
  const start = (port: number) =>
    BrokerNode.start({ code: { dataDir: dir, listeners: `PLAINTEXT://127.0.0.1:${port}` } })
  try {
    const first = await start(0)
    await first.registry.create('kept', 2, {})
    await first.close()
    assert.ok(existsSync(marker))
    const error = await start(port).catch((error: unknown) => error)
    assert.instance(error, ListenError)
    assert.ok(existsSync(marker), 'nothing was left to recover')
    const again = await start(0)
    assert.ok(again.wasClean)
    assert.is(again.registry.topic('kept')?.partitions.length, 2)
    await again.close()
  } finally {
    taken.close()
    rmSync(dir, { recursive: true })
  }
})

test.run()
