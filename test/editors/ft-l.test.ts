import { ftL } from '../../src/editors/ft-l.ts'
import { describeFineTuning } from '../support/fine-tune-golden.ts'

describeFineTuning(ftL, 'prompt-last')
