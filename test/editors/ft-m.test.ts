import { ftM } from '../../src/editors/ft-m.ts'
import { describeFineTuning } from '../support/fine-tune-golden.ts'

describeFineTuning(ftM, 'target-new')
