import { readFileSync, writeFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { servedApis } from '../src/apis/index.ts'

const path = new URL('../README.md', import.meta.url)
const test = suite('README')

function table(): string {
  const rows = servedApis.map(({ request: { apiKey, name }, min, max }) => {
    return `| ${apiKey} | ${name.replace(/Request$/, '')} | ${min === max ? min : `${min}-${max}`} |`
  })
  return ['| key | API | versions |', '|---|---|---|', ...rows].join('\n')
}

test('its API table is what the code serves (UPDATE=1 writes it)', () => {
  const readme = readFileSync(path, 'utf8')
  const expected = readme.replace(
    /<!-- apis -->[\s\S]*<!-- \/apis -->/,
    `<!-- apis -->\n${table()}\n<!-- /apis -->`,
  )
  if (process.env.UPDATE === '1') writeFileSync(path, expected)
  else assert.is(readme, expected)
})

test.run()
