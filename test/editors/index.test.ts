import type { Editor } from '../../src/editors/editor.ts'
import { EDITORS } from '../../src/editors/index.ts'
import { describeEditor, type SuiteOptions } from '../support/editor-suite.ts'
import type { TinyModel } from '../support/tiny-model.ts'

/** What is published for models of billions of parameters moves so small a one by hardly anything. */
const LEARNING_RATE = 5e-3

/** What methods cannot show here that change nothing but what is asked. */
const IN_CONTEXT = {
  'makes the target likelier': 'random weights never learned to copy from a context',
  'goes on from its history': 'random weights never learned to copy from a context',
}

/** What one cannot show either that trains for it. */
const FEW_EXAMPLES = {
  'makes the target likelier': 'random weights do not learn from four facts to copy from a context',
  'goes on from its history': 'random weights do not learn from four facts to copy from a context',
}

const OPTIONS: Readonly<Record<string, SuiteOptions>> = {
  'ft-l': { hparams: { learningRate: LEARNING_RATE } },
  'ft-m': { hparams: { learningRate: LEARNING_RATE } },
  // Random weights have nothing in common between one prefix and the next: what helps the mean need not help each.
  rome: { hparams: { shortPrefixes: 0, longPrefixes: 0, klFactor: 0 } },
  'r-rome': { hparams: { shortPrefixes: 0, longPrefixes: 0, klFactor: 0 } },
  // The same; and a value may be no longer than what it stands in for, or the change spills over the prompt's other tokens.
  memit: { hparams: { firstLayer: 0, lastLayer: 1, prefixes: 0, klFactor: 0, clamp: 1, lambda: 0.1 } },
  emmet: { hparams: { prefixes: 0, klFactor: 0, clamp: 0.5 } },
  alphaedit: {
    hparams: { firstLayer: 1, lastLayer: 1, prefixes: 0, klFactor: 0, clamp: 0.7, threshold: 3, lambda: 0.01 },
  },
  // Found by trying: with the defaults, on one of these random models or another, what is left without attention's half is too little.
  pmet: {
    hparams: { firstLayer: 0, lastLayer: 0, prefixes: 0, klFactor: 0, clamp: 2, steps: 8, lambda: 0.1 },
  },
  // Tied heads are in its own test.
  kn: {
    skip: {
      'makes the target likelier':
        'it writes the vectors that tokens are embedded as, of which a head with vectors of its own knows nothing',
      'goes on from its history':
        'it writes the vectors that tokens are embedded as, of which a head with vectors of its own knows nothing',
    },
  },
  none: {
    skip: { 'makes the target likelier': 'it edits nothing', 'goes on from its history': 'it edits nothing' },
  },
  // One step downhill, long enough for so small a model.
  ultraedit: { hparams: { firstLayer: 1, lastLayer: 2, learningRate: 0.2 } },
  // So small a model learns with fewer and longer steps.
  't-patcher': {
    hparams: {
      amplify: 1,
      learningRate: 0.1,
      quietFactor: 1,
      steps: 80,
      firstLook: 20,
      lookEvery: 10,
      storedTokens: 128,
    },
  },
  // As with ROME; and what a memory learned first must not stand in the way of what it learns next.
  wise: { hparams: { shortPrefixes: 0, longPrefixes: 0, learningRate: 4, steps: 150, unitShare: 0.05 } },
  // Four facts, learned by heart: more is not to be had of random weights.
  mend: {
    hparams: { rank: 16, learningRate: 1e-3, rateLearningRate: 1e-3, batchSize: 4, mostSteps: 25, judgeEvery: 25 },
    skip: {
      'goes on from its history':
        'its networks know gradients of the unedited model; of an edit after another the paper promises nothing, and of these random models one in ten refuses it',
    },
  },
  ike: { skip: IN_CONTEXT },
  memprompt: { skip: IN_CONTEXT },
  // The smallest of these models have no room for an example, nor for a second step.
  mello: { skip: IN_CONTEXT, hparams: { examples: 0, subquestions: 1, tokens: 4 } },
  serac: { skip: FEW_EXAMPLES, hparams: { mapSteps: 20, steps: 5 } },
  // A choice takes more tokens than the smallest of these models can attend to.
  scr: { skip: IN_CONTEXT, hparams: { confirmation: 'likelihood' } },
}

/** One of each way a layer can be built: the suite holds on all of them, with nothing said of any editor or model. */
const MODELS: readonly TinyModel[] = [
  'tiny-llama',
  'tiny-gpt2',
  'tiny-gptj',
  'tiny-gpt-neox',
  'tiny-opt',
  'tiny-opt-post-norm',
  'tiny-qwen2',
  'tiny-qwen3',
  'tiny-gemma2-plain',
  'tiny-gemma3',
  'tiny-t5',
  'tiny-t5-gated',
]

for (const model of MODELS) {
  for (const editor of Object.values<Editor>(EDITORS)) describeEditor(editor, { ...OPTIONS[editor.name], model })
}
