// One method's part of a run, in a process of its own. Started by `whichedit probe` and `whichedit advise`, never by hand.
import { openLaneChannel } from '../dist/commands/support/lane-channel.js'
import { serveLane } from '../dist/evidence/lane.js'

await serveLane(openLaneChannel())
// Native sessions may still hold threads; everything has been told.
process.exit()
