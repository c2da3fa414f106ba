import { ftM } from '../../src/editors/ft-m.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { describeFineTuning } from '../support/fine-tune-golden.ts'
import { describeMemory } from '../support/memory-suite.ts'

describeFineTuning(ftM, 'target-new')

// What is published for models of billions of parameters moves so small a one by hardly anything.
describeEditor(ftM, { hparams: { learningRate: 5e-3 } })
describeMemory(ftM, 215)
