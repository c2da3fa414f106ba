/**
 * The flags that mean the same in every command. Each has a twin in the environment (`--cases 8` is `WHICHEDIT_CASES=8`);
 * a flag goes before its twin, both before the profile, all before the default. Commands pick what they need:
 * `static flags = { model: FLAGS.model, cases: FLAGS.cases }`.
 */
import { Flags } from '@oclif/core'
import { DEFAULT_FACTS } from '../../facts/index.ts'
import { DEFAULT_MODEL } from '../../models/shipped.ts'

const DEFAULT_SEED = 0

/** `--model`, where it is asked for something of its own. */
export function modelFlag(description: string) {
  return Flags.string({ char: 'm', env: 'WHICHEDIT_MODEL', helpValue: 'NAME|PATH', description })
}

/** Flags that commands pick from. */
export const FLAGS = {
  model: modelFlag(`the language model: a name, a folder or a GGUF file [default: ${DEFAULT_MODEL}, which ships]`),
  chat: Flags.boolean({
    env: 'WHICHEDIT_CHAT',
    description: "ask through the model's chat template: a prompt is the user's turn, the answer the model's",
  }),
  facts: Flags.string({
    char: 'f',
    env: 'WHICHEDIT_FACTS',
    helpValue: 'NAME|FILE',
    description: `the facts to edit: a built-in set or a file [default: ${DEFAULT_FACTS}]`,
  }),
  profile: Flags.string({
    char: 'p',
    env: 'WHICHEDIT_PROFILE',
    helpValue: 'NAME|FILE',
    description: 'what matters to you: a built-in profile or a YAML file',
  }),
  methods: Flags.string({
    env: 'WHICHEDIT_METHODS',
    helpValue: 'A,B',
    description: 'only these methods, separated by commas',
  }),
  cases: Flags.integer({ env: 'WHICHEDIT_CASES', min: 1, helpValue: 'N', description: 'how many facts to try' }),
  seed: Flags.integer({
    env: 'WHICHEDIT_SEED',
    min: 0,
    default: DEFAULT_SEED,
    helpValue: 'N',
    description: 'fixes every random draw',
  }),
  budget: Flags.string({
    env: 'WHICHEDIT_BUDGET',
    helpValue: 'TIME',
    description: 'stop probing after this long, e.g. 20m',
  }),
  text: Flags.string({
    env: 'WHICHEDIT_TEXT',
    helpValue: 'FILE',
    description: 'plain text that preparations learn from; without it the model is sampled',
  }),
  run: Flags.string({ env: 'WHICHEDIT_RUN', helpValue: 'ID', description: 'the stored run, instead of the newest' }),
  out: Flags.string({ char: 'o', env: 'WHICHEDIT_OUT', helpValue: 'FILE', description: 'write the result to a file' }),
} as const

/** Flags of every command, besides `--json` and `--help`. */
export const BASE_FLAGS = {
  'no-input': Flags.boolean({
    env: 'WHICHEDIT_NO_INPUT',
    helpGroup: 'GLOBAL',
    description: 'never ask; what is missing is an error that names the flags',
  }),
  yes: Flags.boolean({
    char: 'y',
    env: 'WHICHEDIT_YES',
    helpGroup: 'GLOBAL',
    description: 'answer every question of yes or no with yes',
  }),
  quiet: Flags.boolean({
    char: 'q',
    env: 'WHICHEDIT_QUIET',
    helpGroup: 'GLOBAL',
    description: 'print the result only, no progress',
  }),
  verbose: Flags.boolean({ env: 'WHICHEDIT_VERBOSE', helpGroup: 'GLOBAL', description: 'print more about each step' }),
  color: Flags.option({ options: ['auto', 'always', 'never'] as const })({
    env: 'WHICHEDIT_COLOR',
    default: 'auto',
    helpGroup: 'GLOBAL',
    description: 'colour of the output; NO_COLOR and FORCE_COLOR work too',
  }),
} as const
