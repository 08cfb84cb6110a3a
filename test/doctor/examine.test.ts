import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { examine } from '../../src/doctor/examine.ts'
import type { Finding } from '../../src/doctor/finding.ts'
import { damageSomething } from '../lib/damage.ts'
import { RunningFolder, writeFolder } from '../lib/data-folder.ts'
import type { MemoryFs } from '../lib/memory-fs.ts'
import { Random, seeds } from '../lib/random.ts'
import { DATA_DIR } from '../lib/store-driver.ts'

const RUNS = Number(process.env.RUNS ?? 15)
const ENDINGS = ['clean', 'kill', 'power cut'] as const

const test = suite('odradek doctor --data')

const contentOf = (files: MemoryFs): string[] =>
  files.list().map(path => `${path} ${contentAt(files, path)}`)

function contentAt(files: MemoryFs, path: string): string {
  const file = files.peek(path)!
  return file.data.toString('base64', 0, file.size)
}

const said = (findings: readonly Finding[]): string =>
  findings
    .map(({ verdict, file, position, problem }) => `${verdict} ${file} ${position} ${problem}`)
    .join('\n')

for (const ending of ENDINGS) {
  test(`nothing is wrong with a folder that is not damaged, after a ${ending}`, async () => {
    for (const seed of seeds(1, RUNS)) {
      const files = await writeFolder(new Random(seed), ending)
      const before = contentOf(files)
      const { findings, partitions } = await examine(files, DATA_DIR)
      assert.is(said(findings.faults), '', `SEED=${seed}`)
      assert.ok(partitions === 4, `SEED=${seed}`)
      assert.equal(contentOf(files), before, `SEED=${seed}`)
      const running = await RunningFolder.start(files)
      for (const [name, stored] of running.served())
        assert.ok(stored !== null, `${name} SEED=${seed}`)
    }
  })
}

/** What a start serves, as text; null if it is refused, or a partition is offline. */
async function servedBy(files: MemoryFs): Promise<string | null> {
  try {
    const running = await RunningFolder.start(files.clone(new Random(1)))
    const all = [...running.served()]
    if (all.some(([, stored]) => stored === null)) return null
    return all
      .map(([name, stored]) => `${name} ${stored!.map(one => one.bytes.toString('base64')).join()}`)
      .join('\n')
  } catch {
    return null
  }
}

for (const ending of ENDINGS) {
  test(`what is damaged is reported, or changes nothing that is served, after a ${ending}`, async () => {
    let reported = 0
    for (const seed of seeds(1, RUNS * 4)) {
      const random = new Random(seed)
      const files = await writeFolder(random, ending)
      const before = await servedBy(files)
      // After a power cut damage to the last group of the journal cannot be told from a torn write.
      const what = damageSomething(files, random, ending === 'power cut' ? /journal$/ : undefined)
      const content = contentOf(files)
      const { findings } = await examine(files, DATA_DIR)
      assert.equal(contentOf(files), content, `SEED=${seed} ${what}`)
      const isTold = findings.faults.length > 0 || /torn tail/.test(said(findings.all))
      if (isTold) reported++
      else assert.ok((await servedBy(files)) === before, `SEED=${seed} ${what} is not reported`)
    }
    assert.ok(reported > RUNS, `${reported} reported`)
  })
}

test.run()
