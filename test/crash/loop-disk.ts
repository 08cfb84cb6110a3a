import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const DISK_BYTES = 2 * 1024 ** 3
/**
 * FS_IOC_SHUTDOWN of one file system after the other, without a flush of their journals, and SIGKILL of processes right
 * behind it: nobody has time to tell others that the disk is gone.
 */
const CUT = `
  my @pids = split /,/, shift @ARGV;
  my @disks = map { open(my $d, "<", $_) or die "$_: $!"; $d } @ARGV;
  my $flag = pack("L", 2);
  for (@disks) { ioctl($_, 0x8004587d, $flag) or die $!; }
  kill 9, @pids;
`

export function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}${stdout}`)
  return stdout
}

/** An ext4 of its own on a loop device. */
export class LoopDisk {
  readonly mount: string
  readonly #image: string
  #isMounted = false

  constructor(folder: string, name: string) {
    this.mount = join(folder, name)
    this.#image = `${this.mount}.ext4`
    mkdirSync(this.mount)
    closeSync(openSync(this.#image, 'w'))
    truncateSync(this.#image, DISK_BYTES)
    run('mkfs.ext4', '-q', '-F', this.#image)
    this.#attach()
  }

  /** The folder for what is to outlive a cut. */
  get data(): string {
    return join(this.mount, 'data')
  }

  #attach(): void {
    run('mount', '-o', 'loop', this.#image, this.mount)
    this.#isMounted = true
  }

  #detach(...args: string[]): void {
    run('umount', ...args, this.mount)
    this.#isMounted = false
  }

  /** Cuts the power of all of them at one moment, and ends the processes. */
  static cut(disks: readonly LoopDisk[], pids: readonly number[]): void {
    run('perl', '-e', CUT, pids.join(','), ...disks.map(({ mount }) => mount))
  }

  /** After a cut, when the processes are gone. */
  remount(): void {
    this.#detach()
    this.#attach()
  }

  /** Whoever still uses it may go on until it ends. */
  [Symbol.dispose](): void {
    if (this.#isMounted) this.#detach('-l')
  }
}

/** Disks in a temporary folder: needs root. They are gone when this process exits at the latest. */
export class LoopDisks implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'odradek-disks-'))
  readonly #disks: LoopDisk[] = []
  readonly #atExit = (): void => this[Symbol.dispose]()

  constructor() {
    process.on('exit', this.#atExit)
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  }

  add(name: string): LoopDisk {
    const disk = new LoopDisk(this.#folder, name)
    this.#disks.push(disk)
    return disk
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#atExit)
    for (const disk of this.#disks) disk[Symbol.dispose]()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
