#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { type BrokerFlags, withBrokerFlags } from './base/broker-flags.ts'
import { commandFirst, groups } from './commands.ts'

/** package.json is two folders up in the sources and three in dist. */
function version(): string {
  const up = import.meta.url.endsWith('.ts') ? '../../package.json' : '../../../package.json'
  const { version } = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8')) as {
    version: string
  }
  return version
}

const first = process.argv[2]
/** Loads while the command line is parsed; null if it is not `start` that is asked for. */
const starting = first === 'start' ? import('./start.ts') : null

/** The commands named on the command line are loaded, the others only listed. */
async function build(words: readonly string[]): Promise<Command> {
  const program = new Command('odradek')
    .description('A distributed commit log that speaks the Apache Kafka wire protocol.')
    .version(version())
    .showHelpAfterError()
    // What is behind a command is for that command alone: `bench produce -t x` is not for bench.
    .enablePositionalOptions()
    .exitOverride()
  const starter = program
    .command('start')
    .description('start a broker (by default on 127.0.0.1:9092, with its data in ./data)')
  withBrokerFlags(starter)
    .option(
      '--metadata <etcd://hosts/prefix>',
      'be one of the brokers of a cluster, whose metadata is there',
    )
    .addHelpText(
      'after',
      `
Options have Kafka's names and come from the file, then the environment, then --override:
  $ odradek start --override log.dirs=/var/lib/odradek
  $ KAFKA_LISTENERS=PLAINTEXT://:9092 KAFKA_LOG_DIRS=/var/lib/odradek odradek start`,
    )
    .action(async (flags: BrokerFlags) => {
      const { start } = await (starting ?? import('./start.ts'))
      await start(flags, version())
    })
  for (const { name, description, load } of groups) {
    const command = program.command(name).description(description)
    if (words.includes(name)) (await load()).define(command)
  }
  return program
}

/** A reader that has seen enough (`| head`) is no failure. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  // Whoever has something to finish does so as for a signal.
  if (!process.emit('SIGTERM', 'SIGTERM')) process.exit(0)
})

try {
  const words = commandFirst(process.argv.slice(2))
  // `odradek topic ...` or `odradek help topic`
  const program = await build(words.slice(0, 2))
  await program.parseAsync(words, { from: 'user' })
} catch (error) {
  const { explain } = await import('./base/failure.ts')
  process.exitCode = explain(error)
}
