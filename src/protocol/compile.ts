/**
 * Turns a message's table and one version into JavaScript source and that into a function. Straight
 * source with object literals in field order is what V8 optimises best, and this is the hot path;
 * a closure per field was several calls per value. Nothing from outside the process reaches the
 * source: only the names and numbers of our own tables, and names are checked.
 */
import { assert } from '../assert.ts'
import { fitMessage } from './error-message.ts'
import { type Field, type Fields, includes, type VersionRange } from './fields.ts'
import type { Reader } from './reader.ts'
import { SchemaError, type Writer } from './writer.ts'

export interface Table {
  readonly name: string
  readonly flexible: VersionRange
  readonly fields: Fields
}

interface Unit {
  readonly version: number
  readonly flexible: boolean
  /** Whether functions with arrays in them are generators that stop for a moment every PIECE elements. */
  readonly inPieces: boolean
  readonly functions: string[]
}

/** Elements between two places where a generator may be left alone for a while: some tens of microseconds. */
const PIECE = 128

/** Strings that are said to a person: they may name what is too long for them. */
const IS_MESSAGE = /[eE]rrorMessage$/

const EMPTY_ARRAY: readonly never[] = Object.freeze([])
const EMPTY_STRUCT = Object.freeze({})
const EMPTY_BYTES = Buffer.alloc(0)

export function compileDecoder<T>(table: Table, version: number): (reader: Reader) => T {
  const unit = newUnit(table, version, false)
  const entry = structDecoder(unit, table.fields, table.name)
  return link(unit, entry) as (reader: Reader) => T
}

/** The same for messages so long that they are decoded piece by piece. */
export function compilePiecewiseDecoder<T>(
  table: Table,
  version: number,
): (reader: Reader) => Generator<void, T> {
  const unit = newUnit(table, version, true)
  const entry = structDecoder(unit, table.fields, table.name)
  return link(unit, generatorOf(unit, table.fields, entry, 'r')) as never
}

export function compileEncoder<T>(
  table: Table,
  version: number,
): (writer: Writer, value: T) => void {
  const unit = newUnit(table, version, false)
  const entry = structEncoder(unit, table.fields, table.name)
  return link(unit, entry) as (writer: Writer, value: T) => void
}

/** The same for messages so long that they are encoded piece by piece. */
export function compilePiecewiseEncoder<T>(
  table: Table,
  version: number,
): (writer: Writer, value: T) => Generator<void, void> {
  const unit = newUnit(table, version, true)
  const entry = structEncoder(unit, table.fields, table.name)
  return link(unit, generatorOf(unit, table.fields, entry, 'w, v')) as never
}

function newUnit(table: Table, version: number, inPieces: boolean): Unit {
  return { version, flexible: includes(table.flexible, version), inPieces, functions: [] }
}

/** A message without arrays was compiled to a plain function: it is one piece. */
function generatorOf(unit: Unit, fields: Fields, entry: string, parameters: string): string {
  if (stops(unit, fields)) return entry
  return `function* (${parameters}) { return ${entry}(${parameters}) }`
}

function link(unit: Unit, entry: string): unknown {
  const source = `'use strict'\n${unit.functions.join('\n')}\nreturn ${entry}`
  const names = ['EMPTY_ARRAY', 'EMPTY_STRUCT', 'EMPTY_BYTES', 'refuse', 'fitMessage']
  const values = [EMPTY_ARRAY, EMPTY_STRUCT, EMPTY_BYTES, refuse, fitMessage]
  return new Function(...names, source)(...values)
}

function refuse(field: string, version: number, what: string): never {
  throw new SchemaError(`${field} in version ${version}: ${what}`)
}

/** Adds a function to the unit and returns its name. */
function define(unit: Unit, parameters: string, body: string, isGenerator = false): string {
  const name = `f${unit.functions.length}`
  unit.functions.push(`function${isGenerator ? '*' : ''} ${name}(${parameters}) {\n${body}\n}`)
  return name
}

/** Whether code for these fields stops between pieces: if there is an array among them, at whatever depth. */
function stops(unit: Unit, fields: Fields): boolean {
  if (!unit.inPieces) return false
  return Object.values(fields).some(
    field =>
      includes(field.versions, unit.version) &&
      (field.kind === 'array' || (field.kind === 'struct' && stops(unit, field.fields ?? {}))),
  )
}

/** A call of a function that may be a generator: a statement, or in parentheses an expression. */
function call(unit: Unit, fields: Fields, source: string): string {
  return stops(unit, fields) ? `yield* ${source}` : source
}

/** The head of a loop over an array's elements; in pieces it stops now and then. */
function loopHead(unit: Unit, length: string): string {
  const pause = unit.inPieces ? ` if (i % ${PIECE} === ${PIECE - 1}) yield;` : ''
  return `for (let i = 0; i < ${length}; i++) {${pause}`
}

function entries(fields: Fields): [string, Field][] {
  const all = Object.entries(fields)
  for (const [name] of all) assert(/^[a-z][A-Za-z0-9]*$/.test(name), `bad field name ${name}`)
  return all
}

function isTagged(unit: Unit, field: Field): boolean {
  const tagged = includes(field.versions, unit.version) && includes(field.tagged, unit.version)
  assert(!tagged || (unit.flexible && field.tag >= 0), 'tagged in a version that is not flexible')
  return tagged
}

function isPlain(unit: Unit, field: Field): boolean {
  return includes(field.versions, unit.version) && !isTagged(unit, field)
}

function isNullable(unit: Unit, field: Field): boolean {
  return includes(field.nullable, unit.version)
}

function taggedEntries(unit: Unit, fields: Fields): [string, Field][] {
  return entries(fields)
    .filter(([, field]) => isTagged(unit, field))
    .sort(([, a], [, b]) => a.tag - b.tag)
}

/** Source of a field's default, fresh where it could be changed by whoever gets it. */
function defaultValue(field: Field): string {
  if (field.default === null) return 'null'
  if (field.kind === 'array') return '[]'
  if (field.kind === 'bytes') return 'EMPTY_BYTES'
  if (field.kind !== 'struct') return JSON.stringify(field.default)
  const inner = entries(field.fields ?? {}).map(([name, f]) => `${name}: ${defaultValue(f)}`)
  return `{ ${inner.join(', ')} }`
}

// Decoding

const FIXED_BYTES: Partial<Record<Field['kind'], number>> = {
  bool: 1,
  int8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  float64: 8,
  uuid: 16,
}

/** Fewest bytes the field can take on the wire; bounds the count of an array of it. */
function leastBytes(unit: Unit, field: Field): number {
  if (field.kind === 'struct') {
    if (isNullable(unit, field)) return 1
    const plain = entries(field.fields ?? {}).filter(([, inner]) => isPlain(unit, inner))
    return plain.reduce((sum, [, f]) => sum + leastBytes(unit, f), unit.flexible ? 1 : 0)
  }
  return FIXED_BYTES[field.kind] ?? (unit.flexible ? 1 : field.kind === 'string' ? 2 : 4)
}

function structDecoder(unit: Unit, fields: Fields, path: string): string {
  const lines = ['let n']
  for (const [name, field] of entries(fields)) {
    const value = isPlain(unit, field)
      ? decodeValue(unit, field, `${path}.${name}`)
      : defaultValue(field)
    lines.push(`let $${name} = ${value}`)
  }
  if (unit.flexible) lines.push(...decodeTags(unit, fields, path))
  const members = entries(fields).map(([name]) => `${name}: $${name}`)
  lines.push(`return { ${members.join(', ')} }`)
  return define(unit, 'r', lines.join('\n'), stops(unit, fields))
}

function decodeTags(unit: Unit, fields: Fields, path: string): string[] {
  const tagged = taggedEntries(unit, fields)
  const where = JSON.stringify(path)
  if (tagged.length === 0) return [`r.skipTags(${where})`]
  const cases = tagged.map(([name, field]) => {
    const value = decodeTagged(unit, field, `${path}.${name}`)
    return `case ${field.tag}: $${name} = ${value}; break`
  })
  return [
    `for (let left = r.tagCount(${where}); left > 0; left--) {`,
    `const tag = r.uvarint(${where}), end = r.tagEnd(${where})`,
    `switch (tag) {\n${cases.join('\n')}\ndefault: r.position = end }`,
    `r.endTag(end, ${where})\n}`,
  ]
}

/** Kafka marks a null struct by another type here than elsewhere: a uvarint. */
function decodeTagged(unit: Unit, field: Field, path: string): string {
  if (field.kind !== 'struct' || !isNullable(unit, field)) return decodeValue(unit, field, path)
  const fields = field.fields ?? {}
  const present = `(${call(unit, fields, `${structDecoder(unit, fields, path)}(r)`)})`
  return `r.uvarint(${JSON.stringify(path)}) === 0 ? null : ${present}`
}

/** An expression; `n` is a local of the function around it. */
function decodeValue(unit: Unit, field: Field, path: string): string {
  const where = JSON.stringify(path)
  const { kind } = field
  if (FIXED_BYTES[kind] !== undefined) return `r.${kind}(${where})`
  if (kind === 'struct') {
    const fields = field.fields ?? {}
    const value = `(${call(unit, fields, `${structDecoder(unit, fields, path)}(r)`)})`
    return isNullable(unit, field) ? `r.int8(${where}) < 0 ? null : ${value}` : value
  }
  const width = kind === 'string' ? 'length16' : 'length32'
  const length = `r.${unit.flexible ? 'compactLength' : width}(${where})`
  const reading = (n: string) => {
    if (kind === 'array') {
      const all = `${arrayDecoder(unit, field, path)}(r, ${n})`
      return unit.inPieces ? `(yield* ${all})` : all
    }
    const method = kind === 'string' ? 'text' : kind === 'bytes' ? 'bytes' : 'view'
    return `r.${method}(${n}, ${where})`
  }
  if (!isNullable(unit, field)) return reading(`r.present(${length}, ${where})`)
  return `(n = ${length}) < 0 ? null : ${reading('n')}`
}

function arrayDecoder(unit: Unit, field: Field, path: string): string {
  const { element } = field
  assert(element !== undefined, `${path} has no element`)
  const least = leastBytes(unit, element)
  assert(least > 0, `${path}: elements without bytes could not be bounded`)
  const body = [
    `const out = new Array(r.count(length, ${least}, ${JSON.stringify(path)}))`,
    'let n',
    `${loopHead(unit, 'length')} out[i] = ${decodeValue(unit, element, path)} }`,
    'return out',
  ]
  return define(unit, 'r, length', body.join('\n'), unit.inPieces)
}

// Encoding

function structEncoder(unit: Unit, fields: Fields, path: string): string {
  const lines = ['let x']
  for (const [name, field] of entries(fields)) {
    if (isPlain(unit, field)) {
      lines.push(`x = v.${name}`, `if (x === undefined) x = ${omittedValue(field)}`)
      lines.push(encodeValue(unit, field, `${path}.${name}`))
    } else if (!isTagged(unit, field) && !field.ignorable) {
      const why = `'not in this version'`
      lines.push(`x = v.${name}`)
      lines.push(
        `if (x !== undefined && !(${isDefault(unit, field)})) ` +
          `refuse(${JSON.stringify(`${path}.${name}`)}, ${unit.version}, ${why})`,
      )
    }
  }
  if (unit.flexible) lines.push(...encodeTags(unit, fields, path))
  return define(unit, 'w, v', lines.join('\n'), stops(unit, fields))
}

/** What is written for an omitted field: never changed, so it may be shared. */
function omittedValue(field: Field): string {
  if (field.default === null) return 'null'
  if (field.kind === 'array') return 'EMPTY_ARRAY'
  return field.kind === 'struct' ? 'EMPTY_STRUCT' : defaultValue(field)
}

/** An expression over `x`. */
function isDefault(unit: Unit, field: Field): string {
  if (field.default === null) return 'x === null'
  if (field.kind === 'array' || field.kind === 'bytes') return 'x !== null && x.length === 0'
  if (field.kind !== 'struct') return `x === ${JSON.stringify(field.default)}`
  const lines = ['let x', 'if (v === null) return false']
  for (const [name, inner] of entries(field.fields ?? {})) {
    lines.push(`x = v.${name}`)
    lines.push(`if (x !== undefined && !(${isDefault(unit, inner)})) return false`)
  }
  lines.push('return true')
  return `${define(unit, 'v', lines.join('\n'))}(x)`
}

function encodeTags(unit: Unit, fields: Fields, path: string): string[] {
  const tagged = taggedEntries(unit, fields)
  if (tagged.length === 0) return ['w.uvarint(0)']
  const lines = ['let tags = 0']
  for (const [name, field] of tagged) {
    lines.push(`x = v.${name}`)
    lines.push(`const has_${name} = x !== undefined && !(${isDefault(unit, field)})`)
    lines.push(`if (has_${name}) tags++`)
  }
  lines.push('w.uvarint(tags)')
  for (const [name, field] of tagged) {
    const one = { [name]: field }
    const body = encodeTagged(unit, field, `${path}.${name}`)
    const write = define(unit, 'w, x', body, stops(unit, one))
    const written = call(unit, one, `${write}(w.startTagged(), v.${name})`)
    lines.push(`if (has_${name}) { ${written}; w.endTagged(${field.tag}) }`)
  }
  return lines
}

function encodeTagged(unit: Unit, field: Field, path: string): string {
  if (field.kind !== 'struct' || !isNullable(unit, field)) return encodeValue(unit, field, path)
  return `if (x === null) w.uvarint(0); else { w.uvarint(1); ${encodePresent(unit, field, path)} }`
}

/** A statement that writes `x`. */
function encodeValue(unit: Unit, field: Field, path: string): string {
  const where = JSON.stringify(path)
  const { kind } = field
  const write = encodePresent(unit, field, path)
  if (kind === 'struct' && isNullable(unit, field)) {
    return `if (x === null) w.int8(-1); else { w.int8(1); ${write} }`
  }
  if (!isNullable(unit, field)) {
    return `if (x === null) refuse(${where}, ${unit.version}, 'null')\n${write}`
  }
  const absent = kind === 'string' ? 'w.int16(-1)' : 'w.int32(-1)'
  return `if (x === null) ${unit.flexible ? 'w.uvarint(0)' : absent}; else { ${write} }`
}

function encodePresent(unit: Unit, field: Field, path: string): string {
  const where = JSON.stringify(path)
  const { kind, element } = field
  if (kind === 'struct') {
    const fields = field.fields ?? {}
    return call(unit, fields, `${structEncoder(unit, fields, path)}(w, x)`)
  }
  if (kind === 'array') {
    assert(element !== undefined, `${path} has no element`)
    const body = [
      unit.flexible ? 'w.uvarint(all.length + 1)' : 'w.int32(all.length)',
      `${loopHead(unit, 'all.length')} const x = all[i]`,
      encodeValue(unit, element, path),
      '}',
    ]
    const all = `${define(unit, 'w, all', body.join('\n'), unit.inPieces)}(w, x)`
    return unit.inPieces ? `yield* ${all}` : all
  }
  const value = kind === 'string' && IS_MESSAGE.test(path) ? 'fitMessage(x)' : 'x'
  if (FIXED_BYTES[kind] !== undefined || !unit.flexible) return `w.${kind}(${value}, ${where})`
  return `w.compact${kind[0].toUpperCase()}${kind.slice(1)}(${value}, ${where})`
}
