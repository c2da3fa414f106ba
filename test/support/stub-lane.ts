/** A lane's process with the stub model and the stub method in place of real ones. */
import process from 'node:process'
import { openLaneChannel } from '../../src/commands/support/lane-channel.ts'
import { serveLane } from '../../src/evidence/lane.ts'
import { PROBES } from '../../src/probes/index.ts'
import { makeStubEditor, stubAnswers } from './stub-editor.ts'
import { makeStubModel } from './stub-model.ts'

const stub = makeStubEditor({
  die: () => process.kill(process.pid, 'SIGKILL'),
  exit: () => process.exit(3),
  hang: () => {
    for (;;);
  },
})
await serveLane(openLaneChannel(), {
  editors: { stub, other: { ...stub, name: 'other' }, third: { ...stub, name: 'third' } },
  probes: PROBES,
  openModel: async ({ model }) => makeStubModel({ answers: stubAnswers(100), delayMs: Number(model) }),
})
process.exit()
