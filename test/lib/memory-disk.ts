import type { Random } from './random.ts'

const PAGE = 4096
const SECTOR = 512

/** A file: what is in the page cache, what is on the disk, and which pages differ. */
export class MemoryFile {
  /** The page cache; only the first `size` bytes count, zeros follow. */
  data: Buffer = Buffer.alloc(0)
  size = 0
  modifiedMs = 0
  /** A flush failed and nothing was written since: another flush would succeed and change nothing. */
  isLost = false
  #disk: Buffer = Buffer.alloc(0)
  #diskSize = 0
  readonly #dirty = new Set<number>()

  write(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length
    this.data = grown(this.data, end)
    this.data.set(bytes, position)
    this.size = Math.max(this.size, end)
    this.isLost = false
    for (let page = Math.floor(position / PAGE); page * PAGE < end; page++) this.#dirty.add(page)
  }

  truncate(size: number): void {
    this.data.fill(0, Math.min(size, this.data.length))
    this.data = grown(this.data, size)
    for (let page = Math.floor(size / PAGE); page * PAGE < this.size; page++) this.#dirty.add(page)
    this.size = size
    this.isLost = false
  }

  flush(): void {
    this.#disk = grown(this.#disk, this.size)
    for (const page of this.#dirty) copyPage(this.data, this.#disk, page)
    this.#diskSize = this.size
    this.#dirty.clear()
  }

  /** A failed flush: the pages count as clean, but they are not on the disk. */
  loseDirty(): void {
    this.isLost = this.#dirty.size > 0
    this.#dirty.clear()
  }

  /** Damages the file as a bad disk would: cache and disk alike. */
  damage(change: (bytes: Buffer) => void, size = this.size): void {
    change(this.data)
    this.size = size
    this.data.fill(0, Math.min(size, this.data.length))
    this.flush()
    this.#disk = Buffer.from(this.data)
    this.#diskSize = size
  }

  /** After a power cut: any of the pages not flushed, torn between sectors, and the old or the new size. */
  image(random: Random): MemoryFile {
    const after = new MemoryFile()
    const low = Math.min(this.size, this.#diskSize)
    const high = Math.max(this.size, this.#diskSize)
    const between = low + Math.floor(random.below(high - low + 1) / SECTOR) * SECTOR
    const hasDirty = this.#dirty.size > 0 || this.size !== this.#diskSize
    const size = hasDirty ? random.pick([this.size, this.#diskSize, between]) : this.#diskSize
    const disk = grown(Buffer.from(this.#disk), Math.max(this.size, this.#diskSize))
    const kept = random.next()
    for (const page of this.#dirty) {
      if (!random.chance(kept)) continue
      if (random.chance(0.7)) copyPage(this.data, disk, page)
      else tearPage(this.data, disk, page, random)
    }
    after.data = Buffer.alloc(size)
    disk.copy(after.data, 0, 0, size)
    after.size = size
    after.modifiedMs = this.modifiedMs
    after.#disk = Buffer.from(after.data)
    after.#diskSize = size
    return after
  }

  clone(): MemoryFile {
    const after = new MemoryFile()
    after.data = Buffer.from(this.data)
    after.size = this.size
    after.modifiedMs = this.modifiedMs
    after.isLost = this.isLost
    after.#disk = Buffer.from(this.#disk)
    after.#diskSize = this.#diskSize
    for (const page of this.#dirty) after.#dirty.add(page)
    return after
  }
}

function grown(buffer: Buffer, bytes: number): Buffer {
  if (buffer.length >= bytes) return buffer
  const larger = Buffer.alloc(Math.max(bytes, buffer.length * 2))
  buffer.copy(larger)
  return larger
}

function copyPage(from: Buffer, to: Buffer, page: number): void {
  from.copy(to, page * PAGE, page * PAGE, Math.min((page + 1) * PAGE, to.length))
}

function tearPage(from: Buffer, to: Buffer, page: number, random: Random): void {
  for (let at = page * PAGE; at < (page + 1) * PAGE; at += SECTOR) {
    if (at < Math.min(from.length, to.length) && random.chance(0.5)) {
      from.copy(to, at, at, Math.min(at + SECTOR, to.length))
    }
  }
}

interface NameChange {
  readonly remove?: string
  readonly set?: string
  readonly node?: MemoryDir | MemoryFile
}

/** A folder: its names, and the changes to them since it was last flushed. */
export class MemoryDir {
  readonly names = new Map<string, MemoryDir | MemoryFile>()
  #flushed = new Map<string, MemoryDir | MemoryFile>()
  #changes: NameChange[] = []

  change(change: NameChange): void {
    apply(change, this.names)
    this.#changes.push(change)
  }

  flush(): void {
    this.#flushed = new Map(this.names)
    this.#changes = []
  }

  /** After a power cut: some of the changes, either the first so many or any. A rename happens whole or not at all. */
  image(random: Random, inOrder: boolean): MemoryDir {
    const names = new Map(this.#flushed)
    const first = random.below(this.#changes.length + 1)
    const kept = random.next()
    for (const [i, change] of this.#changes.entries()) {
      if (inOrder ? i < first : random.chance(kept)) apply(change, names)
    }
    const after = new MemoryDir()
    for (const [name, node] of names) {
      after.names.set(
        name,
        node instanceof MemoryDir ? node.image(random, inOrder) : node.image(random),
      )
    }
    after.flush()
    return after
  }

  clone(copies: Map<MemoryDir | MemoryFile, MemoryDir | MemoryFile>): MemoryDir {
    const after = new MemoryDir()
    const copy = (node: MemoryDir | MemoryFile): MemoryDir | MemoryFile => {
      const known = copies.get(node)
      if (known !== undefined) return known
      const made = node instanceof MemoryDir ? node.clone(copies) : node.clone()
      copies.set(node, made)
      return made
    }
    for (const [name, node] of this.names) after.names.set(name, copy(node))
    for (const [name, node] of this.#flushed) after.#flushed.set(name, copy(node))
    after.#changes = this.#changes.map(c =>
      c.node === undefined ? c : { ...c, node: copy(c.node) },
    )
    return after
  }
}

function apply(change: NameChange, names: Map<string, MemoryDir | MemoryFile>): void {
  if (change.remove !== undefined) names.delete(change.remove)
  if (change.set !== undefined) names.set(change.set, change.node!)
}
