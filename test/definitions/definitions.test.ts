import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as consumerProtocol from '../../src/protocol/consumer-protocol.ts'
import { type Field, type Fields, parseVersions, type Versions } from '../../src/protocol/fields.ts'
import * as groupRecords from '../../src/protocol/group-records.ts'
import type { Message } from '../../src/protocol/schema.ts'
import { allMessages } from '../protocol/all-messages.ts'

/** Kafka's JSON, as far as it says anything about the wire. */
interface Definition {
  apiKey?: number
  type: string
  name: string
  validVersions: Versions
  flexibleVersions: Versions
  latestVersionUnstable?: boolean
  fields: FieldDefinition[]
  commonStructs?: { name: string; fields: FieldDefinition[] }[]
}

interface FieldDefinition {
  name: string
  type: string
  versions: Versions
  nullableVersions?: Versions
  taggedVersions?: Versions
  tag?: number
  ignorable?: boolean
  default?: string | number | boolean
  fields?: FieldDefinition[]
}

const primitives = new Set(
  'bool int8 int16 uint16 int32 uint32 int64 float64 string bytes uuid records'.split(' '),
)

function folder(): string {
  const named = process.env.KAFKA_MESSAGES
  if (named === undefined || named === '') {
    throw new Error(
      'KAFKA_MESSAGES must name the folder with the JSON message definitions of Kafka',
    )
  }
  return named
}

function load(name: string): Definition {
  const text = readFileSync(join(folder(), `${name}.json`), 'utf8')
  return JSON.parse(text.replace(/^\s*\/\/.*$/gm, ''))
}

/** One line for each field, nested names by dots: so a difference shows as a readable diff. */
function theirRows(definition: Definition, fields: FieldDefinition[], prefix = ''): string[] {
  return fields.flatMap(theirs => {
    const isArray = theirs.type.startsWith('[]')
    const element = isArray ? theirs.type.slice(2) : theirs.type
    const common = definition.commonStructs?.find(({ name }) => name === element)
    const name = `${prefix}${theirs.name[0].toLowerCase()}${theirs.name.slice(1)}`
    const kind = primitives.has(element) ? element : 'struct'
    const inner = theirs.fields ?? common?.fields ?? []
    const line = row(name, isArray ? `[]${kind}` : kind, {
      versions: parseVersions(theirs.versions),
      nullable: parseVersions(theirs.nullableVersions ?? 'none'),
      tagged: parseVersions(theirs.taggedVersions ?? 'none'),
      tag: theirs.tag ?? -1,
      ignorable: theirs.ignorable ?? false,
      default: theirDefault(theirs, isArray ? 'array' : kind),
    })
    return [line, ...theirRows(definition, inner, `${name}.`)]
  })
}

function theirDefault(theirs: FieldDefinition, kind: string): unknown {
  if (theirs.default === 'null' || kind === 'records') return null
  if (kind === 'array' || kind === 'struct' || kind === 'bytes') return 'empty'
  if (kind === 'uuid') return 'AAAAAAAAAAAAAAAAAAAAAA'
  if (kind === 'string') return theirs.default ?? ''
  if (kind === 'bool') return String(theirs.default ?? false) === 'true'
  return Number(theirs.default ?? 0)
}

function ourRows(fields: Fields, prefix = ''): string[] {
  return Object.entries(fields).flatMap(([key, ours]) => {
    const name = prefix + key
    const { element } = ours
    const kind = element === undefined ? ours.kind : `[]${element.kind}`
    const inner = element?.fields ?? ours.fields ?? {}
    return [row(name, kind, { ...ours, default: ourDefault(ours) }), ...ourRows(inner, `${name}.`)]
  })
}

function ourDefault(ours: Field): unknown {
  const mayBeEmpty = ours.kind === 'array' || ours.kind === 'struct' || ours.kind === 'bytes'
  return ours.default !== null && mayBeEmpty ? 'empty' : ours.default
}

type Row = Pick<Field, 'versions' | 'nullable' | 'tagged' | 'tag' | 'ignorable' | 'default'>

function row(name: string, kind: string, r: Row): string {
  const [versions, nullable, tagged] = [r.versions, r.nullable, r.tagged].map(
    ({ min, max }) => `${min}..${max}`,
  )
  return (
    `${name} ${kind} versions ${versions} nullable ${nullable} tagged ${tagged} tag ${r.tag} ` +
    `ignorable ${r.ignorable} default ${JSON.stringify(r.default)}`
  )
}

function theirHead(d: Definition): unknown {
  return {
    name: d.name,
    apiKey: d.apiKey ?? -1,
    versions: parseVersions(d.validVersions),
    flexible: parseVersions(d.flexibleVersions),
    latestVersionUnstable: d.latestVersionUnstable ?? false,
  }
}

function ourHead(m: Message): unknown {
  const { name, apiKey, versions, flexible, latestVersionUnstable } = m
  return { name, apiKey, versions, flexible, latestVersionUnstable }
}

const test = suite('definitions')
const records = [...Object.values(groupRecords), ...Object.values(consumerProtocol)]
const messages = [...(await allMessages()), ...records]

test('the folder with the definitions is known and tables were found', () => {
  folder()
  assert.ok(messages.length >= 80, `only ${messages.length} messages found`)
})

for (const message of messages) {
  test(`${message.name} has the fields, versions and defaults of Kafka`, () => {
    const definition = load(message.name)
    assert.equal(ourHead(message), theirHead(definition))
    assert.equal(ourRows(message.fields), theirRows(definition, definition.fields))
  })
}

test.run()
