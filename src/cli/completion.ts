import { Argument, type Command, Option } from 'commander'
import { usage } from './base/failure.ts'
import { groups } from './commands.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof SHELLS)[number]

/** A place on the command line, such as "topic consume", and the words that may come there. */
interface Place {
  readonly path: string
  readonly commands: readonly string[]
  readonly options: readonly string[]
}

export function define(completion: Command): void {
  completion
    .showHelpAfterError('Add --help for what is allowed.')
    .addArgument(new Argument('[shell]', 'which one').choices(SHELLS))
    .addOption(new Option('--names <line>', 'for these scripts: what comes next').hideHelp())
    .addHelpText(
      'after',
      `
Examples:
  $ source <(odradek completion bash)
  $ odradek completion zsh > "\${fpath[1]}/_odradek"
  $ odradek completion fish > ~/.config/fish/completions/odradek.fish`,
    )
    .action(async (shell: Shell | undefined, { names }: { names?: string }) => {
      if (names !== undefined) return printNames(names)
      if (shell === undefined) throw usage(`completion: which shell? give ${SHELLS.join(', ')}`)
      return complete(completion.parent!, shell)
    })
}

async function printNames(line: string): Promise<void> {
  const { namesFor } = await import('./completion-names.ts')
  process.stdout.write((await namesFor(line)).map(name => `${name}\n`).join(''))
}

/** What can be completed is read off the commands themselves, so it is never behind them. */
async function complete(program: Command, shell: Shell): Promise<void> {
  for (const { name, load } of groups) {
    const command = program.commands.find(c => c.name() === name)
    // This one is defined already: it is running.
    if (command !== undefined && name !== 'completion') (await load()).define(command)
  }
  process.stdout.write(SCRIPTS[shell](placesOf(program, '')))
}

function placesOf(command: Command, path: string): Place[] {
  const options = command.options.flatMap(o => [o.short, o.long]).filter(o => o !== undefined)
  const named = command.commands.map(c => [c.name(), ...c.aliases()] as const)
  const commands = named.flat()
  const below = command.commands.flatMap((c, i) =>
    named[i]!.flatMap(name => placesOf(c, `${path} ${name}`.trim())),
  )
  return [{ path, commands, options: [...options, '-h', '--help'] }, ...below]
}

/** Shell code that sets `words` by the place; names of commands and options need no quoting. */
const cases = (places: readonly Place[]): string =>
  places
    .map(
      ({ path, commands, options }) =>
        `    '${path}') words='${[...commands, ...options].join(' ')}' ;;`,
    )
    .join('\n')

/**
 * The place is given by the words before the one that is typed, two at most and none that is an option. Where that is no
 * place, the first word is. Where no option is typed, what the cluster has is asked for, too.
 */
const SCRIPTS: Readonly<Record<Shell, (places: readonly Place[]) => string>> = {
  bash: places => `_odradek() {
  local path='' words='' i
  for ((i = 1; i < COMP_CWORD && i < 3; i++)); do
    [[ \${COMP_WORDS[i]} == -* ]] && break
    path="\${path:+$path }\${COMP_WORDS[i]}"
  done
  case "$path" in
${cases(places)}
    *) case "\${path%% *}" in
${cases(places.filter(({ path }) => !path.includes(' ')))}
    esac ;;
  esac
  [[ \${COMP_WORDS[COMP_CWORD]} == -* ]] ||
    words+=" $("\${COMP_WORDS[0]}" completion --names "\${COMP_LINE:0:COMP_POINT}" 2>/dev/null)"
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _odradek odradek
`,
  zsh: places => `#compdef odradek
_odradek() {
  local place='' list='' i
  for ((i = 2; i < CURRENT && i < 4; i++)); do
    [[ \${words[i]} == -* ]] && break
    place="\${place:+$place }\${words[i]}"
  done
  case "$place" in
${cases(places).replaceAll("words='", "list='")}
    *) case "\${place%% *}" in
${cases(places.filter(({ path }) => !path.includes(' '))).replaceAll("words='", "list='")}
    esac ;;
  esac
  [[ \${words[CURRENT]} == -* ]] ||
    list+=" $("\${words[1]}" completion --names "\${(j: :)words[1,CURRENT]}" 2>/dev/null)"
  compadd -- \${=list} || _files
}
if [[ \${funcstack[1]} == _odradek ]]; then
  _odradek
else
  compdef _odradek odradek
fi
`,
  fish: places => `function __odradek_words
  string match -q -- '-*' (commandline -ct)
  or odradek completion --names (commandline -cp) 2>/dev/null
  set -l words (commandline -opc)
  set -l place
  for word in $words[2..3]
    string match -q -- '-*' $word; and break
    set place $place $word
  end
  switch "$place"
${fishCases(places)}
    case '*'
      switch "$place[1]"
${fishCases(places.filter(({ path }) => !path.includes(' ')))}
      end
  end
end
complete -c odradek -a '(__odradek_words)'
`,
}

const fishCases = (places: readonly Place[]): string =>
  places
    .map(({ path, commands, options }) => {
      return `    case '${path}'\n      printf '%s\\n' ${[...commands, ...options].join(' ')}`
    })
    .join('\n')
