#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { start } from './start.ts'

/** package.json is two folders up in the sources and three in dist. */
function version(): string {
  const up = import.meta.url.endsWith('.ts') ? '../../package.json' : '../../../package.json'
  const { version } = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8')) as {
    version: string
  }
  return version
}

const collect = (value: string, list: string[]): string[] => [...list, value]

const program = new Command('odradek')
  .description('A distributed commit log that speaks the Apache Kafka wire protocol.')
  .version(version())
  .showHelpAfterError()

program
  .command('start', { isDefault: true })
  .description('start a broker (by default on 127.0.0.1:9092, with its data in ./data)')
  .option('-c, --config <file>', 'a server.properties file')
  .option('-o, --override <key=value>', 'set one option; may be given again', collect, [])
  .addHelpText(
    'after',
    `
Options have Kafka's names and come from the file, then the environment, then --override:
  $ odradek start --override log.dirs=/var/lib/odradek
  $ KAFKA_LISTENERS=PLAINTEXT://0.0.0.0:9092 KAFKA_LOG_DIRS=/var/lib/odradek odradek start`,
  )
  .action((flags: { config?: string; override: string[] }) => start(flags, version()))

await program.parseAsync()
