import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

let built: string | undefined

/** A folder with dist as the sources are now: made by test/run.ts for all its processes, or here for this one. */
export function builtNow(): string {
  if (built !== undefined) return built
  const given = process.env.BUILT_NOW
  if (given !== undefined) built = given
  else {
    const root = buildCopy(['build:esm'])
    process.on('exit', () => rmSync(root, { recursive: true }))
    built = root
  }
  return built
}

/** Replaces `from`, which must be there exactly once, in a source file. */
export interface Edit {
  readonly file: string
  readonly from: string
  readonly to: string
}

/**
 * Builds the package in a temporary folder with its own scripts, and with edits of the sources: for tests that need what is
 * built to be what is in the sources now, or to have a known bug.
 * @returns the folder, which holds package.json and dist
 * @throws Error if an edit does not fit the sources any more, or the build fails
 */
export function buildCopy(scripts: readonly string[], edits: readonly Edit[] = []): string {
  const dir = mkdtempSync(join(tmpdir(), 'odradek-build-'))
  chmodSync(dir, 0o755) // some tests run it as another user
  for (const name of ['src', 'workers', 'package.json', 'tsconfig.json']) {
    cpSync(join(ROOT, name), join(dir, name), { recursive: true })
  }
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'))
  for (const { file, from, to } of edits) {
    const path = join(dir, file)
    const parts = readFileSync(path, 'utf8').split(from)
    if (parts.length !== 2) {
      throw new Error(`${file} holds ${parts.length - 1} times, not once: ${from}`)
    }
    writeFileSync(path, parts.join(to))
  }
  for (const script of scripts) {
    execFileSync('npm', ['run', '--silent', script], { cwd: dir, stdio: 'pipe' })
  }
  return dir
}
