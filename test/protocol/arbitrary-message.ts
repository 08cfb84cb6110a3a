import fc from 'fast-check'
import { type Field, type Fields, includes } from '../../src/protocol/fields.ts'
import type { Message } from '../../src/protocol/schema.ts'

type Value = Record<string, unknown>

/**
 * Any value the message can carry in that version, with every field present: those that the version
 * does not have hold their default, as decoding gives them back.
 */
export function arbitraryMessage(message: Message, version: number): fc.Arbitrary<Value> {
  return arbitraryStruct(message.fields, version)
}

function arbitraryStruct(fields: Fields, version: number): fc.Arbitrary<Value> {
  const members: Record<string, fc.Arbitrary<unknown>> = {}
  for (const [name, field] of Object.entries(fields)) {
    members[name] = includes(field.versions, version)
      ? arbitraryField(field, version)
      : fc.constant(defaultOf(field))
  }
  return fc.record(members, { noNullPrototype: true })
}

function defaultOf(field: Field): unknown {
  if (field.kind !== 'struct' || field.default === null) return field.default
  const inner = Object.entries(field.fields ?? {})
  return Object.fromEntries(inner.map(([name, f]) => [name, defaultOf(f)]))
}

function arbitraryField(field: Field, version: number): fc.Arbitrary<unknown> {
  const value = arbitraryValue(field, version)
  const options = [{ arbitrary: value, weight: 5 }]
  if (includes(field.nullable, version)) options.push({ arbitrary: fc.constant(null), weight: 1 })
  // Defaults are left out of tag sections, so they must come up often.
  if (field.default !== null || includes(field.nullable, version)) {
    options.push({ arbitrary: fc.constant(defaultOf(field)), weight: 1 })
  }
  return fc.oneof(...options)
}

const binary = fc.uint8Array({ maxLength: 2000, size: 'max' }).map(octets => Buffer.from(octets))

function arbitraryValue(field: Field, version: number): fc.Arbitrary<unknown> {
  switch (field.kind) {
    case 'bool':
      return fc.boolean()
    case 'int8':
      return fc.integer({ min: -0x80, max: 0x7f })
    case 'int16':
      return fc.integer({ min: -0x8000, max: 0x7fff })
    case 'uint16':
      return fc.integer({ min: 0, max: 0xffff })
    case 'int32':
      return fc.integer()
    case 'uint32':
      return fc.integer({ min: 0, max: 0xffffffff })
    case 'int64':
      return fc.maxSafeInteger()
    case 'float64':
      return fc.double({ noNaN: true })
    case 'string':
      return fc.string({ unit: 'grapheme', maxLength: 100 })
    case 'bytes':
    case 'records':
      return binary
    case 'uuid':
      return fc
        .uint8Array({ minLength: 16, maxLength: 16 })
        .map(octets => Buffer.from(octets).toString('base64url'))
    case 'struct':
      return arbitraryStruct(field.fields ?? {}, version)
    case 'array':
      return fc.array(arbitraryValue(field.element as Field, version), { maxLength: 4 })
  }
}
