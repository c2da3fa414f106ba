/** `rank`: a ranking from stored evidence under a profile. Needs no model. */
import { Flags } from '@oclif/core'
import { findRun, readRun } from '../evidence/store.ts'
import { renderTable } from '../report/table.ts'
import type { ReadingKind } from '../scoring/matrix.ts'
import type { Profile } from '../scoring/profile.ts'
import { rankMethods } from '../scoring/rank.ts'
import { bestMethod, type Ranking } from '../scoring/ranking.ts'
import { BaseCommand } from './support/base.ts'
import { FLAGS } from './support/flags.ts'
import { RUNS_FOLDER } from './support/places.ts'
import { PROFILE_FLAGS, profileChanges } from './support/profile-flags.ts'
import { loadProfile } from './support/profiles.ts'

/** How a process ends that worked, but found no method to recommend. */
const NONE_QUALIFIES = 4

/** Ranks the methods of a stored run. */
export default class Rank extends BaseCommand {
  static override summary = 'Rank the methods of a stored run under a profile; needs no model.'
  static override description =
    'Takes the newest run unless --run names one, and ./whichedit.yaml or the profile "balanced" unless --profile names one. ' +
    'Ends with 4 where no method qualifies, 66 where there is no run.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --profile many-related-edits',
    '<%= config.bin %> <%= command.id %> --weights reliability=40,locality=40,efficiency=20 --json',
  ]
  static override flags = {
    profile: FLAGS.profile,
    run: FLAGS.run,
    seed: FLAGS.seed,
    ...PROFILE_FLAGS,
    reading: Flags.option({ options: ['free-running', 'teacher-forced'] as const })({
      env: 'WHICHEDIT_READING',
      default: 'free-running',
      description: 'score what the model says freely, or the (optimistic) teacher-forced accuracy of the papers',
    }),
  }

  async run(): Promise<Ranking> {
    const { flags } = await this.parse(Rank)
    const { profile } = await loadProfile(flags.profile, this.config, profileChanges(flags))
    const ranking = await this.rank(profile, flags)
    this.log(renderTable(ranking, this.display()).trimEnd())
    if (bestMethod(ranking) === undefined) process.exitCode = NONE_QUALIFIES
    return ranking
  }

  private async rank(
    profile: Profile,
    { run: id, seed, reading }: { run: string | undefined; seed: number; reading: ReadingKind },
  ): Promise<Ranking> {
    const { info: run, records, notes } = await readRun(await findRun(RUNS_FOLDER, id))
    const ranking = rankMethods({ profile, evidence: [{ run, records }], seed, reading })
    return { ...ranking, notes: [...ranking.notes, ...notes] }
  }
}
