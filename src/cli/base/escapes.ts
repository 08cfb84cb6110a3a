import { InvalidArgumentError } from 'commander'

const NAMED: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '0': '\0', '\\': '\\' }
const ESCAPE = /\\(x[0-9a-fA-F]{2}|.)?/gs

/** \n, \t, \r, \0, \\ and \xHH, for shells where such characters are hard to type. */
export function parseEscapes(text: string): string {
  return text.replaceAll(ESCAPE, (whole, code: string | undefined) => {
    if (code?.startsWith('x') && code.length === 3) {
      return String.fromCharCode(Number.parseInt(code.slice(1), 16))
    }
    const named = NAMED[code ?? '']
    if (named !== undefined) return named
    throw new InvalidArgumentError(`${whole} is none of \\n \\t \\r \\0 \\\\ \\xHH.`)
  })
}

/** Between key and value. */
export function parseDelimiter(text: string): string {
  if (text === '') throw new InvalidArgumentError('It must have a character at least.')
  return parseEscapes(text)
}
