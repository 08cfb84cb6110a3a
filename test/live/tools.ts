import { execFile, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024
const RUN_MS_MAX = 120_000

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** What the program reads on its standard input. */
  readonly input?: string
  /** Whether it may end with another code than 0. */
  readonly mayFail?: boolean
}

/** Runs a program to its end. Throws with its output if it fails. */
export function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const limits = { maxBuffer: OUTPUT_BYTES_MAX, timeout: RUN_MS_MAX }
    const child = execFile(program, args, limits, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      if (code === 0 || (options.mayFail && code > 0)) resolve({ code, stdout, stderr })
      else reject(new Error(`${program} ${args.join(' ')}: code ${code}\n${stdout}\n${stderr}`))
    })
    child.stdin!.end(options.input ?? '')
  })
}

/** A program of the system's packages; its absence fails the test. */
export function program(name: string): string {
  if (spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0) {
    throw new Error(`${name} is needed for this test: install its Debian package`)
  }
  return name
}

/** A file of the folder that .ci/tools fills; its absence fails the test. */
export function tool(path: string): string {
  const folder = process.env.LIVE_TOOLS
  if (folder === undefined || folder === '') {
    throw new Error('LIVE_TOOLS must name the folder that `bash .ci/tools FOLDER` has filled')
  }
  const whole = join(folder, path)
  if (!existsSync(whole)) {
    throw new Error(`${whole} is needed for this test: run \`bash .ci/tools ${folder}\``)
  }
  return whole
}

/** Of small and short-lived programs: the cheap compiler and collector halve their start. */
const SMALL_JVM = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto']

/** The command line of a class of Kafka's jars, or of ours that .ci/tools has compiled. */
export function javaCommand(className: string, jvm: readonly string[] = SMALL_JVM): string[] {
  const classes = [join(tool('kafka'), '*'), tool('java')].join(delimiter)
  const log = `-Dlog4j2.configurationFile=${join(import.meta.dirname, 'log4j2.properties')}`
  return [program('java'), ...jvm, log, '-cp', classes, className]
}

/** Runs one of Kafka's own command line tools by its class. */
export function kafkaTool(
  className: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  const [java, ...before] = javaCommand(className)
  return run(java!, [...before, ...args], options)
}

/** Lines without the last line break. */
export function lines(text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n')
}
