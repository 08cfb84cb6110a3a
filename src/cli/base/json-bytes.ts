import { isUtf8 } from 'node:buffer'

/** Bytes in JSON: text if they are UTF-8, otherwise base64. `fromJson` gives the same bytes again. */
export type JsonBytes = string | null | { readonly base64: string }

export function toJson(bytes: Buffer | null): JsonBytes {
  if (bytes === null) return null
  return isUtf8(bytes) ? bytes.toString() : { base64: bytes.toString('base64') }
}

/** What is neither text nor base64 stands for its own JSON: {"value": {"id": 7}} is natural to write. */
export function fromJson(value: unknown): Buffer | null {
  if (value === null || value === undefined) return null
  if (typeof value === 'string') return Buffer.from(value)
  const base64 = (value as { base64?: unknown }).base64
  const isBytes = typeof base64 === 'string' && Object.keys(value).length === 1
  return isBytes ? Buffer.from(base64, 'base64') : Buffer.from(JSON.stringify(value))
}

const INDENT = '  '

/**
 * JSON with line breaks and indentation, token by token: to parse and print it would round large numbers.
 * Null if it is no JSON.
 */
export function prettyJson(text: string): string | null {
  try {
    JSON.parse(text)
  } catch {
    return null
  }
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g) ?? []
  let out = ''
  let depth = 0
  const line = (): string => `\n${INDENT.repeat(depth)}`
  for (const [i, token] of tokens.entries()) {
    const isFirst = /^[[{]$/.test(tokens[i - 1] ?? '')
    if (/^[\]}]$/.test(token)) {
      depth--
      out += isFirst ? token : line() + token
    } else {
      if (isFirst) out += line()
      out += token
      if (/^[[{]$/.test(token)) depth++
      else if (token === ',') out += line()
      else if (token === ':') out += ' '
    }
  }
  return out
}
