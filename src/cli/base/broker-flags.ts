import { type Command, Option } from 'commander'

/** Where a broker's options come from, besides the environment. */
export interface BrokerFlags {
  readonly config?: string
  readonly override: readonly string[]
  readonly metadata?: string
}

const collect = (value: string, list: string[]): string[] => [...list, value]

/** What every command takes that has to know what a broker that is started with the same would be. */
export function withBrokerFlags(command: Command): Command {
  return command
    .option('-c, --config <file>', 'a server.properties file')
    .addOption(
      new Option('-o, --override <key=value>', 'set one option; may be given again')
        .argParser(collect)
        .default([], 'none'),
    )
}
