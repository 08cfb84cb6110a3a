export interface WorkerFile {
  /** URL of the thread's entry file. */
  readonly filename: string
  /** Node options of the thread. */
  readonly execArgv: string[]
}

/**
 * The entry file of a worker thread, in `workers/` two folders up: beside the source, where a thread must load tsx for
 * itself, or in dist, where it is JavaScript whether this module stands alone or is bundled into dist/src/cjs/index.cjs.
 */
export function workerFile(name: string): WorkerFile {
  const isSource = import.meta.url.endsWith('.ts')
  return {
    filename: new URL(`../../workers/${name}.${isSource ? 'ts' : 'js'}`, import.meta.url).href,
    execArgv: isSource ? ['--import', tsxForThreads()] : [],
  }
}

/**
 * `--import tsx` leaves out its hooks for ES modules off the main thread, and dynamic imports need them. Resolved from here: a
 * bare name would be looked up from the working directory.
 */
function tsxForThreads(): string {
  const api = import.meta.resolve('tsx/esm/api')
  return `data:text/javascript,import { register } from '${api}'; register()`
}
