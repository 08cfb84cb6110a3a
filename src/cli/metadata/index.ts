import type { Command } from 'commander'
import { withBrokerFlags } from '../base/broker-flags.ts'
import { examples } from '../base/options.ts'
import type { MigrateFlags } from './migrate.ts'

export function define(metadata: Command): void {
  const command = metadata
    .command('migrate')
    .description('make a cluster of a broker that was alone; its data stays where it is')
    .showHelpAfterError('Add --help for what is allowed.')
    .requiredOption('--to <etcd://hosts/prefix>', 'where the metadata of the cluster is to be')
    .option('--data <dir>', 'the data folder, for log.dirs')
    .option('--dry-run', 'say what would be done, and change nothing')
    .option('--json', 'print JSON')
  withBrokerFlags(command)
    .addHelpText(
      'after',
      `
The broker is stopped meanwhile, and is started with --metadata from then on, as the first one of the cluster. Topics, configs, groups
and producers go with it. Whatever interrupts it: the same command goes on from there; or, as long as it has not said that it is
done, the broker may be started alone again. Options are found as odradek start finds them: file, environment, --override.`,
    )
    .action(async (flags: MigrateFlags) => {
      const { migrateFolder } = await import('./migrate.ts')
      await migrateFolder(flags)
    })
  examples(
    command,
    'odradek metadata migrate --to etcd://10.0.0.1:2379,10.0.0.2:2379/odradek/prod --dry-run',
    'odradek metadata migrate --to etcd://10.0.0.1:2379/odradek/prod --data /var/lib/odradek',
  )
}
