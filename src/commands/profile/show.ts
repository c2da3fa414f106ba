/** `profile show`: a profile as it is written, or with every default filled in. */
import { Args } from '@oclif/core'
import { printableLines } from '../../printable.ts'
import { BaseCommand } from '../support/base.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { loadProfile } from '../support/profiles.ts'

/** Prints a profile. */
export default class ProfileShow extends BaseCommand {
  static override summary = 'Print a profile: its YAML, or with --json what it says with every default filled in.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> balanced',
    '<%= config.bin %> <%= command.id %> ./whichedit.yaml --json',
  ]
  static override args = {
    profile: Args.string({ description: "a name or a file; without it the project's, then the default" }),
  }

  async run(): Promise<object> {
    const { args } = await this.parse(ProfileShow)
    const { name, file, source, text, profile } = await loadProfile(args.profile, this.config)
    this.log(printableLines(text.trimEnd()))
    const formula = profile.formula?.text ?? null
    return { schemaVersion: SCHEMA_VERSION, name, file, source, profile: { ...profile, formula } }
  }
}
