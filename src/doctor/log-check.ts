import { join } from 'node:path'
import type { PartitionToOpen } from '../storage/commands.ts'
import { COMPACTION_CHECKPOINT } from '../storage/compaction/swap.ts'
import type { FileSystem } from '../storage/fs.ts'
import { keyOf } from '../storage/journalled.ts'
import { LEADER_EPOCHS } from '../storage/leader-epochs.ts'
import { type LeftBehind, NOWHERE } from '../storage/left-behind.ts'
import { openPartition } from '../storage/open-partition.ts'
import { OverlayFs } from '../storage/overlay-fs.ts'
import { PARTITION_METADATA, topicIdOf, writeTopicId } from '../storage/partition-metadata.ts'
import { fileName } from '../storage/segment.ts'
import { UNREPLAYED } from '../storage/unreplayed.ts'
import type { SafePoint } from '../storage/worker-checkpoint.ts'
import { EpochCheck } from './epoch-check.ts'
import { type Finding, type Findings, type Mend, messageOf, type OffsetRange } from './finding.ts'
import { IndexCheck } from './index-check.ts'
import {
  badSnapshotsIn,
  type Compaction,
  compactionFaults,
  compactionOf,
  epochsOf,
  unknownIn,
  unreplayedOf,
} from './log-files.ts'
import { type Survey, type SurveyedSegment, surveyLog } from './log-survey.ts'
import { mendLog } from './mend-log.ts'

/** What is known of all partitions. */
export interface LogContext {
  readonly files: FileSystem
  readonly dataDir: string
  readonly clean: boolean
  /** Of topics that were deleted. */
  readonly deleted: ReadonlySet<string>
  readonly left: LeftBehind
}

export interface PartitionToCheck extends PartitionToOpen {
  readonly isCompacted: boolean
  readonly epochMax: number
}

/** What was looked at. */
export interface Looked {
  records: number
  bytes: number
}

/**
 * Opens a partition as a start would, in memory, and then reads every batch of it, which a start does not. Everything that is not well
 * becomes a finding.
 */
export function checkLog(
  context: LogContext,
  partition: PartitionToCheck,
  findings: Findings,
  looked: Looked,
): void {
  new LogCheck(context, partition, findings).run(looked)
}

interface Walk {
  readonly survey: Survey
  readonly epochs: EpochCheck
  readonly indexes: ReadonlyMap<number, IndexCheck>
}

const AS_AFTER_ANY_CRASH = 'a start does that by itself'

class LogCheck {
  readonly #context: LogContext
  readonly #partition: PartitionToCheck
  readonly #findings: Findings
  readonly #dir: string
  readonly #rehearsal: OverlayFs
  readonly #mend: Mend
  /** In the workers' journals. */
  readonly #journal: readonly Buffer[]
  #isThinned = false
  #hasFault = false

  constructor(context: LogContext, partition: PartitionToCheck, findings: Findings) {
    this.#context = context
    this.#partition = partition
    this.#findings = findings
    const { name, topicId, epochMax } = partition
    const key = keyOf(topicId, partition.partition)
    this.#dir = join(context.dataDir, name)
    this.#rehearsal = new OverlayFs(context.files, context.dataDir)
    this.#journal = context.left.journalled.with(key, entries =>
      entries.map(entry => Buffer.from(entry.whole())),
    )
    const log = {
      dir: this.#dir,
      safe: context.left.safePoints.get(key) ?? NOWHERE,
      isStartKnown: context.left.isComplete,
      journal: this.#journal,
      epochMax,
    }
    this.#mend = {
      key: `log ${name}`,
      apply: files => mendLog(files, { ...log, isThinned: this.#isThinned }),
    }
  }

  get #safe(): SafePoint {
    const { topicId, partition } = this.#partition
    return this.#context.left.safePoints.get(keyOf(topicId, partition)) ?? NOWHERE
  }

  #note(file: string, problem: string): void {
    const { name } = this.#partition
    this.#findings.add({ verdict: 'note', about: name, file: join(name, file), problem })
  }

  #fault(file: string, problem: string, repair: string, more: Partial<Finding> = {}): void {
    const { name } = this.#partition
    const finding = { about: name, file: join(name, file), problem, repair }
    this.#findings.add({ verdict: 'damaged', ...finding, ...more }, this.#mend)
    this.#hasFault = true
  }

  run(looked: Looked): void {
    const before = this.#context.files
    const isThere = before.exists(this.#dir)
    if (isThere && !this.#checkOwner()) return
    if (isThere) this.#checkSmallFiles()
    const offline = this.#rehearse()
    if (!this.#rehearsal.exists(this.#dir)) return
    const survey = this.#survey(looked)
    this.#damages(survey)
    if (offline === null) return
    const explained = this.#hasFault ? '; see below' : ''
    this.#fault('', `a start takes it offline: ${offline}${explained}`, 'it comes online again', {
      verdict: 'lost',
    })
  }

  /** Whose folder it is. @returns false if it is another topic's, which a start sets aside */
  #checkOwner(): boolean {
    const { files } = this.#context
    const { topicId, name } = this.#partition
    const found = topicIdOf(files, this.#dir)
    const file = PARTITION_METADATA
    if (found === topicId) return true
    const write = {
      key: `owner ${name}`,
      apply: (to: OverlayFs) => writeTopicId(to, this.#dir, topicId),
    }
    const about = { about: name, file: join(name, file) }
    if (found === undefined) {
      const isNew = files.readdir(this.#dir).length === 0
      if (isNew || (!this.#context.clean && !this.#hasRecords())) return true
      const problem = 'it is missing, or does not say which topic this is'
      this.#findings.add({ verdict: 'damaged', ...about, problem, repair: 'written anew' }, write)
      return true
    }
    if (this.#context.deleted.has(found)) {
      this.#note(file, `the folder is of topic ${found}, which was deleted: a start removes it`)
      return false
    }
    const isSlip = [...found].filter((letter, i) => letter !== topicId[i]).length === 1
    const problem = `it says topic id ${found}, but the topic has ${topicId}: a start does not serve what is in the folder`
    const repair = isSlip
      ? 'one letter is another: written anew'
      : 'nothing: see which topic it is, and move the folder away or put the right one in its place'
    const finding = { verdict: 'lost' as const, ...about, problem, repair }
    this.#findings.add(finding, isSlip ? write : undefined)
    return false
  }

  #hasRecords(): boolean {
    const { files } = this.#context
    return files.readdir(this.#dir).some(name => name.endsWith('.log'))
  }

  /** What can be told of by itself, before a start changes it. */
  #checkSmallFiles(): void {
    const { files, clean } = this.#context
    for (const fault of compactionFaults(files, this.#dir)) {
      const path = fault.slice(this.#dir.length + 1)
      this.#fault(COMPACTION_CHECKPOINT, path, 'written anew from the other copy')
    }
    const { problem } = unreplayedOf(files, this.#dir)
    if (problem !== null) {
      const repair = 'set aside; what of it can be read goes to the segments'
      this.#fault(UNREPLAYED, problem, repair, { verdict: 'lost' })
    }
    const { file } = epochsOf(files, this.#dir)
    if (file === 'damaged')
      this.#fault(LEADER_EPOCHS, 'it is damaged', 'learnt again from the batches')
    for (const name of badSnapshotsIn(files, this.#dir)) {
      this.#fault(name, 'the snapshot of the producers does not match its checksum', 'set aside')
    }
    for (const name of unknownIn(files, this.#dir)) this.#note(name, 'it is not of this program')
    const indexes = files.readdir(this.#dir).filter(name => /\.(log|index|timeindex)$/.test(name))
    const bases = [...new Set(indexes.map(name => name.slice(0, 20)))].sort()
    for (const base of bases.slice(0, -1)) {
      for (const ending of ['index', 'timeindex']) {
        const name = `${base}.${ending}`
        if (indexes.includes(name) || !indexes.includes(`${base}.log`)) continue
        if (clean) this.#fault(name, 'it is missing', 'made again from the batches')
        else this.#note(name, `it is missing: ${AS_AFTER_ANY_CRASH}`)
      }
    }
  }

  /** @returns why a start takes the partition offline, or null */
  #rehearse(): string | null {
    const { dataDir, left, deleted, clean } = this.#context
    const notes: string[] = []
    try {
      openPartition(this.#rehearsal, dataDir, this.#partition, true, {
        ...{ left, deleted, clean, notes },
      })
      for (const note of notes.filter(note => /: cut \d+ bytes of a torn tail/.test(note))) {
        this.#note('', `${note.replace(/; a copy is in .*/, '')}: ${AS_AFTER_ANY_CRASH}`)
      }
      return null
    } catch (error) {
      return messageOf(error).replace(`${this.#partition.name}: `, '')
    }
  }

  #survey(looked: Looked): Survey {
    const { isCompacted } = this.#partition
    const compaction = compactionOf(this.#rehearsal, this.#dir, false)
    if (compaction.isLost) this.#isThinned = true
    const found = this.#walk(compaction)
    const hasHoles = found.survey.segments.some(
      ({ walked, next, isThinned }) =>
        !isThinned &&
        ((next !== null && walked.end < next) || walked.damages.some(d => d.from === d.to)),
    )
    let result = found
    if (isCompacted && compaction.isMissing && hasHoles) {
      this.#isThinned = true
      const problem =
        'both copies are missing: which offsets compaction has taken out cannot be told from those that are lost'
      this.#fault(
        COMPACTION_CHECKPOINT,
        problem,
        'written anew: all gaps count as made by compaction',
      )
      result = this.#walk(compactionOf(this.#rehearsal, this.#dir, true))
    }
    for (const { walked } of result.survey.segments) {
      looked.records += walked.records
      looked.bytes += walked.size
    }
    this.#checkIndexes(result)
    return result.survey
  }

  #walk({ checkpoint }: Compaction): Walk {
    const files = this.#rehearsal
    const epochs = new EpochCheck(
      epochsOf(this.#context.files, this.#dir).entries,
      this.#partition.epochMax,
    )
    const indexes = new Map<number, IndexCheck>()
    const journal = [...unreplayedOf(files, this.#dir).entries, ...this.#journal]
    const { cleaned } = checkpoint
    const { isComplete: isStartKnown } = this.#context.left
    const log = { dir: this.#dir, safe: this.#safe, isStartKnown, journal, cleaned }
    const survey = surveyLog(files, log, (base, batch) => {
      epochs.visit(base, batch)
      let check = indexes.get(base)
      if (check === undefined) {
        check = new IndexCheck(files, this.#dir, base)
        indexes.set(base, check)
      }
      check.visit(batch)
    })
    return { survey, epochs, indexes }
  }

  #checkIndexes({ survey, epochs, indexes }: Walk): void {
    for (const [base, check] of indexes) {
      const { walked } = survey.segments.find(one => one.base === base)!
      // The indexes of a damaged segment are made again with it.
      if (walked.damages.length > 0 || walked.patches.length > 0) continue
      check.end()
      for (const [ending, problem] of check.problems) {
        this.#fault(fileName(base, ending), problem, 'made again from the batches')
      }
    }
    const [first] = epochs.wrong
    if (first === undefined) return
    if (epochs.isMaxWrong) {
      const { name } = this.#partition
      const problem = `${epochs.wrong.length} batches are of newer starts than the metadata has counted: it is older than they are`
      const repair = 'nothing: if you have newer metadata, put it back'
      const file = join(name, fileName(first.base, 'log'))
      this.#findings.add({ verdict: 'damaged', about: name, file, problem, repair })
    } else if (epochs.isFileWrong) {
      this.#fault(LEADER_EPOCHS, 'it does not fit the batches', 'learnt again from them')
    } else {
      const problem = `${epochs.wrong.length} batches have another leader epoch than the log had then: ${first.epoch} for ${first.expected}`
      const { position } = first
      this.#fault(fileName(first.base, 'log'), problem, 'the right one is written', { position })
    }
  }

  #damages({ segments, missing, durableEnd }: Survey): void {
    const start = this.#safe.logStartOffset
    const last = segments.at(-1)
    for (const lost of missing) {
      this.#fault(fileName(lost.from, 'log'), 'it is missing', 'an empty one stands for it', {
        ...{ lost, verdict: 'lost' },
      })
    }
    for (const { base, next, walked, isThinned, writtenBytes } of segments) {
      const file = fileName(base, 'log')
      if (isThinned && !this.#isThinned && writtenBytes !== walked.size) {
        const problem = `compaction wrote ${writtenBytes} bytes of it, it has ${walked.size}; of these offsets, those that are not there may be lost`
        this.#lose(file, walked.size, problem, rangeOf(Math.max(base, start), next ?? walked.end))
      }
      for (const { position, problem } of walked.patches) {
        this.#fault(file, problem, 'nothing is lost: the right value is written', { position })
      }
      const limit = next ?? Math.max(durableEnd, walked.end)
      for (const { from, to, problem, firstOffset, nextOffset } of walked.damages) {
        const lost = rangeOf(Math.max(firstOffset, start), nextOffset ?? limit)
        const bytes = to > from ? ` (${to - from} bytes)` : ''
        this.#lose(file, from, `${problem}${bytes}`, lost)
      }
      const isOpen = walked.damages.at(-1)?.nextOffset === null
      // Where compaction has been, offsets may be missing up to the next segment, but never up to the log's end: readers wait for them.
      const isAtEnd = next === null || (last !== undefined && next === last.base && isEmpty(last))
      if ((isThinned && !isAtEnd) || isOpen || walked.end >= limit) continue
      const lost = rangeOf(Math.max(walked.end, start), limit)
      this.#lose(file, walked.size, 'it ends too early', lost)
    }
  }

  #lose(file: string, position: number, problem: string, lost: OffsetRange | null): void {
    const repair =
      lost === null
        ? 'taken out; no record is lost by it'
        : 'taken out: what is not in the journal stays a gap, the records around it can be read'
    this.#fault(file, problem, repair, {
      position,
      lost,
      verdict: lost === null ? 'damaged' : 'lost',
    })
  }
}

const isEmpty = ({ walked }: SurveyedSegment): boolean => walked.size === 0

const rangeOf = (from: number, next: number): OffsetRange | null =>
  from < next ? { from, to: next - 1 } : null
