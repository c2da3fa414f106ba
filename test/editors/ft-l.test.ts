import { ftL } from '../../src/editors/ft-l.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { describeFineTuning } from '../support/fine-tune-golden.ts'
import { describeMemory } from '../support/memory-suite.ts'

describeFineTuning(ftL, 'prompt-last')

// What is published for models of billions of parameters moves so small a one by hardly anything.
describeEditor(ftL, { hparams: { learningRate: 5e-3 } })
describeMemory(ftL, 235)
